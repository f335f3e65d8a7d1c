"""Metrics for OpenTelemetry, which is optional: a meter of any provider, read when the provider collects.

Counters and gauges are observable instruments. A histogram cannot be observed there, it has to be recorded value by
value, and to do that in a hook would cost more than the step. So it is recorded when the provider collects: what came
to each bucket since then, as the middle of that bucket. That takes a few microseconds a sample, in the collecting
thread, which lets the loop have the GIL in between.

Invariant. Each value is recorded once, whichever reader collects: `_fed` is what was, under a lock.

Context: the callbacks in whichever thread collects.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from preemptio._errors import UnsupportedError
from preemptio._observe._histogram import Histogram
from preemptio._observe._metrics import Metrics, all_metrics
from preemptio._observe._table import METRICS, Metric

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter, MeterProvider

LOOP: Final = "preemptio.loop"
"""The attribute that names the loop."""

BREATH: Final = 100
"""Values recorded before the loop may have the GIL."""

BOUNDS: Final = tuple(bound for bound, _ in Histogram().buckets())


def export_to_otel(meter_provider: MeterProvider | None = None) -> None:
    """Make instruments for the metrics of all loops in OpenTelemetry, named by the attribute `preemptio.loop`.

    Args:
        meter_provider: by default the global one. Call this once for each provider.

    Raises:
        UnsupportedError: OpenTelemetry is not installed.

    Context: any thread. The provider reads the loops from the thread in which it collects.

    Source: the names are in the manner of go.schedule.duration and nodejs.eventloop.time.

    Example:
        >>> from preemptio import runtime
        >>> from opentelemetry.sdk.metrics import MeterProvider
        >>> from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        >>> runtime.export_to_otel(MeterProvider([InMemoryMetricReader()]))
    """
    try:
        from opentelemetry import metrics
    except ImportError as exc:
        msg = "export_to_otel() needs OpenTelemetry; type: pip install 'preemptio[otel]' opentelemetry-sdk"
        raise UnsupportedError(msg) from exc
    meter = metrics.get_meter("preemptio", meter_provider=meter_provider)
    histograms = {row: _histogram(meter, row) for row in METRICS if row.kind == "histogram"}
    reader = _Reader({row: each.record for row, each in histograms.items()})
    for row in METRICS:
        if row.otel and row.kind != "histogram":
            make = meter.create_observable_counter if row.kind == "counter" else meter.create_observable_gauge
            make(row.otel, [_Observed(row, reader)], unit=row.unit, description=row.doc)


def _histogram(meter: Meter, row: Metric) -> Any:
    return meter.create_histogram(
        row.otel, unit=row.unit, description=row.doc, explicit_bucket_boundaries_advisory=BOUNDS
    )


def _attributes(record: Metrics, row: Metric, label: str) -> dict[str, str]:
    return {LOOP: record.loop, row.otel_label: label} if row.label else {LOOP: record.loop}


class _Observed:
    """The callback of one observable instrument."""

    def __init__(self, row: Metric, reader: _Reader) -> None:
        self._row = row
        self._reader = reader

    def __call__(self, _options: object) -> Iterable[Any]:
        from opentelemetry.metrics import Observation

        row = self._row
        for record in self._reader.read(row):
            if row.free or record.enabled:
                for label, value in record.values(row):
                    yield Observation(value, _attributes(record, row, label))


class _Reader:
    """Reads the loops once a collection, and records into histograms what has come since the last one."""

    def __init__(self, instruments: dict[Metric, Callable[..., None]]) -> None:
        self._record = instruments
        self._lock = threading.Lock()
        self._records: list[Metrics] = []
        self._asked: set[Metric] = set()  # rows that have had these records
        self._fed: dict[str, tuple[float, dict[tuple[Metric, str], Histogram]]] = {}  # by loop: since, what was fed

    def read(self, row: Metric) -> list[Metrics]:
        """Return the records that the other rows of this collection get: one that asks again begins the next."""
        with self._lock:
            if not self._asked or row in self._asked:
                self._asked.clear()
                self._records = all_metrics()
                self._feed_all()
            self._asked.add(row)
            return self._records

    def _feed_all(self) -> None:
        """Record what is new, of every loop; a loop that is gone is forgotten."""
        for record in self._records:
            since, fed = self._fed.get(record.loop, (0.0, {}))
            if since != record.since:
                fed = {}
            self._fed[record.loop] = record.since, fed
            for row in self._record:
                for label, now in record.values(row):
                    before = fed.get((row, label))
                    fed[row, label] = now
                    self._feed(row, _attributes(record, row, label), now if before is None else now - before)
        for gone in self._fed.keys() - {record.loop for record in self._records}:
            del self._fed[gone]

    def _feed(self, row: Metric, attributes: dict[str, str], new: Histogram) -> None:
        record, left = self._record[row], BREATH
        for seconds, count in new.each():
            for _ in range(count):
                record(seconds, attributes)
                left -= 1
                if not left:
                    left = BREATH
                    time.sleep(0)
