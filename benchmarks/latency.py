"""How late a 2 ms sleep wakes beside hogs: the delay that preemption exists to bound.

The figure is lateness in slices: a promise in milliseconds would be a promise about the machine. Three
comparisons run in the same rounds: the stock loop, which is blocked for as long as the hogs run;
`asyncio.to_thread`, the usual advice, where the threads hand the GIL over every 5 ms, to one another as well; and the
machine itself: how much longer than usual 2 ms of work take with no loop, which no loop can be better than.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks._harness import Options, Promise, Row, interleaved, percentile
from benchmarks._work import hog, spin, tick, units_in
from benchmarks._worker import Side

SLICE = 0.001
PERIOD = 0.002
HOGS = (1, 8, 64)

PROMISES = tuple(
    promise
    for hogs in HOGS
    for promise in (
        Promise(f"p50, {hogs} hogs", "<=", 1.3, "slices"),
        Promise(f"p99, {hogs} hogs", "<=", 2.0, "slices"),
    )
)


def measure(side: Side, hogs: int, units: int) -> list[float]:
    """Return the lateness of each wake-up, in slices, while `hogs` hogs of `units` units run."""
    if side.kind == "bare":
        return stalls(hogs * units)
    return side.run(ticks_beside, hogs, units, side.kind == "threads")  # type: ignore[no-any-return]


async def ticks_beside(hogs: int, units: int, threads: bool) -> list[float]:
    """Start the ticker, then the hogs in one turn, and tick until the last hog is done."""
    late: list[float] = []
    stop = asyncio.Event()
    ticker = asyncio.create_task(tick(PERIOD, late, stop))
    await asyncio.sleep(0.05)
    late.clear()
    if threads:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(hogs))
        await asyncio.gather(*[asyncio.to_thread(spin, units) for _ in range(hogs)])
    else:
        await asyncio.gather(*[hog(units) for _ in range(hogs)])
    stop.set()
    await ticker
    return [seconds / SLICE for seconds in late]


def stalls(units: int) -> list[float]:
    """Return by how much each PERIOD's worth of work outlasted the median one: the machine's own lateness."""
    chunk = units_in(PERIOD)
    took = []
    for _ in range(units // chunk):
        start = time.perf_counter()
        spin(chunk)
        took.append(time.perf_counter() - start)
    usual = statistics.median(took)
    return [max(0.0, seconds - usual) / SLICE for seconds in took]


def run(opt: Options) -> Iterator[Row]:
    """Compare each loop with hogs on it, and with stock asyncio's two answers."""
    sides = {loop: Side("preempted", loop, SLICE) for loop in opt.loops}
    sides |= {"stock": Side("stock"), "to_thread": Side("threads"), "machine": Side("bare")}
    total = units_in(opt.scale(1.5, 0.3))
    for hogs in HOGS:
        params = {"hogs": hogs, "units": max(1, total // hogs)}
        for loop, rounds in interleaved(__name__, sides, params, opt.rounds, turns=1, warm=0).items():
            yield from rows(loop, hogs, rounds)


def rows(loop: str, hogs: int, rounds: list[list[float]]) -> Iterator[Row]:
    """Take each round's percentiles, then the median over the rounds: one bad second spoils one round."""
    worst = max(max(late) for late in rounds)
    count = sum(len(late) for late in rounds)
    for name, q in (("p50", 0.5), ("p99", 0.99)):
        value = statistics.median(percentile(late, q) for late in rounds)
        note = f"max {worst * SLICE * 1e3:.1f} ms, n {count}"
        yield Row(f"{name}, {hogs} hogs", loop, value, note, "slices")
