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
from benchmarks._stats import median_of
from benchmarks._work import Late, hog, spin, tick, units_in
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


DISTURBED = 0.0002
"""Seconds off the CPU from which on a sample tells about the machine."""


def measure(side: Side, hogs: int, units: int) -> list[Late]:
    """Return the lateness of each wake-up while `hogs` hogs of `units` units run."""
    if side.kind == "bare":
        return stalls(hogs * units)
    return side.run(ticks_beside, hogs, units, side.kind == "threads")  # type: ignore[no-any-return]


async def ticks_beside(hogs: int, units: int, threads: bool) -> list[Late]:
    """Start the ticker, then the hogs in one turn, and tick until the last hog is done."""
    late: list[Late] = []
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
    return late


def stalls(units: int) -> list[Late]:
    """Return by how much each PERIOD's worth of work outlasted the median one: the machine's own lateness."""
    chunk = units_in(PERIOD)
    took = []
    for _ in range(units // chunk):
        start = time.perf_counter()
        spin(chunk)
        took.append(time.perf_counter() - start)
    usual = statistics.median(took)
    return [(max(0.0, seconds - usual), 0.0) for seconds in took]


def run(opt: Options) -> Iterator[Row]:
    """Compare each loop with hogs on it, with stock asyncio's two answers, and with the machine."""
    ours = {loop: Side("preempted", loop, SLICE) for loop in opt.loops} | {"machine": Side("bare")}
    others = {"stock": Side("stock"), "to_thread": Side("threads")}
    total = units_in(opt.scale(1.5, 0.8))  # shorter, and p99 would be the burst at the hogs' start
    for hogs in HOGS:
        sides = ours if opt.quick and hogs != 8 else ours | others
        params = {"hogs": hogs, "units": max(1, total // hogs)}
        for loop, rounds in interleaved(__name__, sides, params, opt.rounds, turns=1, warm=0).items():
            yield from rows(loop, hogs, rounds)


def undisturbed(samples: list[Late]) -> list[float]:
    """Leave out what the machine did, in doubt in favour of a longer lateness. In slices.

    A sample during which the process was taken off the CPU says little: how much of that time came after the
    wake-up was due? Where the lateness exceeds it by a slice all the same, the excess is the loop's own; without
    these a busy machine would hide just the longest delays, as hardly any of them passes undisturbed.
    """
    clean = [late for late, off in samples if off < DISTURBED]
    excess = [late - off for late, off in samples if off >= DISTURBED and late - off > SLICE]
    return [late / SLICE for late in clean + excess]


def rows(loop: str, hogs: int, rounds: list[list[Late]]) -> Iterator[Row]:
    """Take each round's percentiles, then the median over the rounds: one bad second spoils one round."""
    everything = [[late / SLICE for late, _ in samples] for samples in rounds]
    used = [undisturbed(samples) for samples in rounds]
    if loop not in PROMISES[0].loops or not all(used):
        used = everything  # the stock loop's one sample is the whole run; the machine's row is about disturbance
    count, left = sum(map(len, everything)), sum(map(len, used))
    worst = max(map(max, used)) * SLICE * 1e3
    for name, q in (("p50", 0.5), ("p99", 0.99)):
        value, raw = (median_of([percentile(late, q) for late in of]) for of in (used, everything))
        note = f"max {worst:.1f} ms, n {left}" + (f", with {count - left} disturbed {raw:.2f}" if left < count else "")
        yield Row(f"{name}, {hogs} hogs", loop, value, note, "slices")
