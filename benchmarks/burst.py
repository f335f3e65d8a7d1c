"""The worst moment: 64 hogs that start in one turn of the loop.

The order of the ready queue is law, so the ticker's wake-up stands behind 64 steps that have each a slice to
use. With a fixed slice of 1 ms that is 64 ms and more; the promise holds only if the slice shrinks while many
steps are ready. What is judged is each round's *longest* lateness, and of the rounds the median: the machine
itself stops a process for 10 ms now and then.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks import latency
from benchmarks._harness import Options, Promise, Row, interleaved
from benchmarks._stats import median_of
from benchmarks._work import units_in
from benchmarks._worker import Side

HOGS = 64

PROMISES = (Promise(f"longest, {HOGS} hogs at once", "<=", 20.0, "ms"),)


def run(opt: Options) -> Iterator[Row]:
    """Let each hog work for many slices, so that the first round of slices is what costs."""
    sides = {loop: Side("preempted", loop, latency.SLICE) for loop in opt.loops}
    params = {"hogs": HOGS, "units": units_in(opt.scale(0.016, 0.008))}
    # the first turn's cold caches are the ticker's problem in a real service too: no warm-up
    turns = 1 if opt.quick else 2
    for loop, rounds in interleaved(latency.__name__, sides, params, opt.rounds, turns, warm=0).items():
        longest = [max(late - off for late, off in samples) * 1e3 for samples in rounds]
        wall = statistics.median(max(late for late, _ in samples) for samples in rounds) * 1e3
        note = f"wall {wall:.1f}, least {min(longest):.1f}, worst {max(longest):.1f} of {len(longest)} bursts"
        yield Row(PROMISES[0].name, loop, median_of(longest), note, "ms")
