"""The flight recorder: what the scheduler did in the last seconds. `from preemptio import trace`."""

from preemptio._observe._trace._file import TraceError as TraceError
from preemptio._observe._trace._flight import (
    Recording as Recording,
    dump as dump,
    recordings as recordings,
    start as start,
    stop as stop,
)
from preemptio._observe._trace._notes import log as log, region as region
