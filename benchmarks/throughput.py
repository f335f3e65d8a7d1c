"""What the hogs pay: their speed on the loop, as a share of the same work with no loop at all.

Three costs are in it: the tick (some 25 us of machine time each, so 2-3 % at 1 kHz unless the period adapts),
the switches, and the caches that a switch leaves cold. Beside a ticker the loop also does the ticker's own work,
1,000 times a second, and polls for it: that is part of the price, and the bound leaves room for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from benchmarks import latency
from benchmarks._harness import Options, Promise, Row, cost_ratio, interleaved
from benchmarks._work import Spent, hog, now, since, spin, tick, units_in
from benchmarks._worker import Side

PERIOD = 0.001

CASES = {"1 hog": (1, False), "8 hogs": (8, False), "8 hogs beside a 1 kHz ticker": (8, True)}

PROMISES = (
    Promise("1 hog", ">=", 0.95, "of bare"),
    Promise("8 hogs", ">=", 0.95, "of bare"),
    Promise("8 hogs beside a 1 kHz ticker", ">=", 0.85, "of bare"),
)


def measure(side: Side, hogs: int, units: int, ticker: bool) -> Spent:
    """Return what the work takes: in a row with no loop, or shared between hogs on one."""
    if side.kind == "bare":
        start = now()
        spin(hogs * units)
        return since(start)
    return side.run(share, hogs, units, ticker)  # type: ignore[no-any-return]


async def share(hogs: int, units: int, ticker: bool) -> Spent:
    """Time the hogs alone: the ticker runs before and after them."""
    stop = asyncio.Event()
    beside = asyncio.create_task(tick(PERIOD, [], stop)) if ticker else None
    await asyncio.sleep(0.01)
    start = now()
    await asyncio.gather(*[hog(units) for _ in range(hogs)])
    took = since(start)
    stop.set()
    if beside is not None:
        await beside
    return took


def run(opt: Options) -> Iterator[Row]:
    """Pair each loop with no loop."""
    total = units_in(opt.scale(0.3, 0.15))
    for name, (hogs, ticker) in CASES.items():
        params = {"hogs": hogs, "units": total // hogs, "ticker": ticker}
        sides = {loop: Side("preempted", loop, latency.SLICE) for loop in opt.loops} | {"bare": Side("bare")}
        took = interleaved(__name__, sides, params, opt.rounds, turns=2 if opt.quick else 5)
        for loop in opt.loops:
            value, note = cost_ratio(took["bare"], took[loop])
            yield Row(name, loop, value, note, "of bare")
