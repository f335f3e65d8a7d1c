"""What the scheduler of a loop does, for whoever watches it: `from preemptio import runtime`."""

from preemptio._aio._instruments import add_instrument as add_instrument, remove_instrument as remove_instrument
from preemptio._core._instruments import Instrument as Instrument
from preemptio._observe._histogram import Histogram as Histogram
from preemptio._observe._label import label as label
from preemptio._observe._metrics import (
    Metrics as Metrics,
    disable_metrics as disable_metrics,
    enable_metrics as enable_metrics,
    metrics as metrics,
)
from preemptio._observe._otel import export_to_otel as export_to_otel
from preemptio._observe._prometheus import prometheus_collector as prometheus_collector
