"""The source `monitor`: the tick of loops in other threads, beside the timer signal that the main thread has.

The same loop, in the main thread, with either source, beside the same hogs: how late the wake-ups of a ticker are, and
what of the hogs' speed is left. A second thread needs the GIL for each of its looks, and sys.monitoring makes the code
that it looks at slower for a moment.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from benchmarks import latency, throughput
from benchmarks._harness import Options, Promise, Row, Skipped, cost_ratio, interleaved, percentile
from benchmarks._stats import median_of
from benchmarks._work import units_in
from benchmarks._worker import Side

HOGS = 8
SOURCES = ("posix" if sys.platform == "linux" else "itimer", "monitor")

PROMISES: tuple[Promise, ...] = ()


def measure(side: Side, what: str, **params: Any) -> Any:
    """Do what the benchmarks `latency` and `throughput` do."""
    return (latency if what == "latency" else throughput).measure(side, **params)


def run(opt: Options) -> Iterator[Row | Skipped]:
    """Compare the two on each loop, and both with no loop."""
    if sys.version_info < (3, 12):
        yield Skipped("source monitor", "it takes CPython 3.12 or newer")
        return
    total = units_in(opt.scale(1.5, 0.8))
    for loop in opt.loops:
        sides = {source: Side("preempted", loop, latency.SLICE, source=source) for source in SOURCES}
        params = {"what": "latency", "hogs": HOGS, "units": total // HOGS}
        for source, rounds in interleaved(__name__, sides, params, opt.rounds, turns=1, warm=0).items():
            late = [latency.undisturbed(samples) or [at / latency.SLICE for at, _ in samples] for samples in rounds]
            for name, q in (("p50", 0.5), ("p99", 0.99)):
                value = median_of([percentile(each, q) for each in late])
                yield Row(f"{name}, {HOGS} hogs, {source}", loop, value, f"n {sum(map(len, late))}", "slices")
        params = {"what": "throughput", "hogs": HOGS, "units": total // HOGS // 5, "ticker": False}
        sides["bare"] = Side("bare")
        took = interleaved(__name__, sides, params, opt.rounds, turns=2 if opt.quick else 5)
        for source in SOURCES:
            value, note = cost_ratio(took["bare"], took[source])
            yield Row(f"{HOGS} hogs, {source}", loop, value, note, "of bare")
