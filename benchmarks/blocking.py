"""Blocking calls in tasks: what the loop still does while four of them sleep without an await.

A ticker counts its beats beside four tasks that call `time.sleep`, and alone, for the same time. Each call is found by
the tick and set aside, and looked at now and then, as its thread is the loop's: that is what the missing beats are. The
stock loop makes no beat at all until the last call has returned, one after the other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from benchmarks import _quiet, latency
from benchmarks._harness import Options, Promise, Row, interleaved, ratio
from benchmarks._worker import Side

CALLS = 4
PERIOD = 0.002

PROMISES = (Promise(f"turns kept beside {CALLS} blocking calls", ">=", 0.9, "of alone"),)


def measure(side: Side, seconds: float) -> tuple[int, int]:
    """Return the beats beside the calls, and alone for as long as those took."""
    _quiet.drop("BLOCKED")
    return side.run(beats, seconds)  # type: ignore[no-any-return]


async def beats(seconds: float) -> tuple[int, int]:
    """Count for as long as the calls take, then once more for as long."""
    start = time.perf_counter()
    calls = asyncio.gather(*[asleep(seconds) for _ in range(CALLS)])
    beside = 0
    while not calls.done():
        await asyncio.sleep(PERIOD)
        beside += 1
    took = time.perf_counter() - start
    start = time.perf_counter()
    alone = 0
    while time.perf_counter() - start < took:
        await asyncio.sleep(PERIOD)
        alone += 1
    return beside, alone


async def asleep(seconds: float) -> None:
    """Do what a task should not."""
    time.sleep(seconds)


def run(opt: Options) -> Iterator[Row]:
    """Pair each count with that of the same loop alone."""
    sides = {loop: Side("preempted", loop, latency.SLICE) for loop in opt.loops}
    counts = interleaved(__name__, sides, {"seconds": opt.scale(2.0, 0.5)}, opt.rounds, turns=2)
    for loop in opt.loops:
        value, note = ratio([beside for beside, _ in counts[loop]], [alone for _, alone in counts[loop]])
        yield Row(PROMISES[0].name, loop, value, note, "of alone")
