"""Deadlines that hold although the code does not await.

`preemptio.timeout` ends a loop that never awaits. `asyncio.timeout` cannot - cancellation is delivered at an
await - but its timer must fire on time beside a hog, so the code must not get past its first await after the deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from benchmarks._harness import Options, Promise, Row, interleaved
from benchmarks._stats import median_of
from benchmarks._work import spin, unit, units_in
from benchmarks._worker import Side

LIMIT = 0.2
SLICE = 0.001

PROMISES = (
    Promise("preemptio.timeout(0.2), no await", "<=", 0.21, "s"),
    Promise("asyncio.timeout(0.2), awaits passed too late", "<=", 0, "awaits"),
)


def measure(side: Side, what: str, units: int) -> float:
    """Return the seconds until the loop ended, or the awaits that it got past after its deadline."""
    body = pure if what == "pure" else now_and_then
    return side.run(body, units)  # type: ignore[no-any-return]


async def pure(units: int) -> float:
    """Compute without an await until the deadline; give up at `units`, ten times as much work."""
    import preemptio

    start = time.perf_counter()
    x = 1
    try:
        async with preemptio.timeout(LIMIT):
            for _ in range(units):
                x = unit(x)
    except TimeoutError:
        pass
    return time.perf_counter() - start


async def now_and_then(units: int) -> float:
    """Compute for `units` between awaits; count the awaits that returned although the deadline had passed.

    One slice of grace: the timer needs its turn too, and an await that begins in between is not late.
    """
    late = 0
    start = time.perf_counter()
    try:
        async with asyncio.timeout(LIMIT):
            while late < 10:
                spin(units)
                before = time.perf_counter() - start
                await asyncio.sleep(0)
                late += before > LIMIT + SLICE
    except TimeoutError:
        pass
    return late


def run(opt: Options) -> Iterator[Row]:
    """Take the median of the rounds: a tick that the machine itself delays is no broken promise."""
    for loop in opt.loops:
        sides = {"ours": Side("preempted", loop, SLICE)}
        turns = 1 if opt.quick else 3
        params = {"what": "pure", "units": units_in(10 * LIMIT)}
        took = interleaved(__name__, sides, params, opt.rounds, turns, warm=0)["ours"]
        note = f"worst {max(took):.4f} of {len(took)}"
        yield Row(PROMISES[0].name, loop, median_of(took), note, "s")

        params = {"what": "awaits", "units": units_in(0.03)}
        late = interleaved(__name__, sides, params, opt.rounds, turns, warm=0)["ours"]
        yield Row(PROMISES[1].name, loop, max(late), f"worst of {len(late)}", "awaits")
