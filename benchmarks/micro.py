"""The two calls that user code makes itself: `checkpoint()` and `go()`.

A checkpoint goes into inner loops, so the one that has nothing to do must cost about as much as the call of an
empty C function. It is timed inside a G (outside one it has even less to do), in batches far shorter than a slice,
since a poisoned one does real work; the loop around it is timed in the same batch and subtracted.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator

from benchmarks._harness import Options, Promise, Row, cost_ratio, interleaved, percentile
from benchmarks._stats import median_of
from benchmarks._work import Spent, now, since
from benchmarks._worker import Side

BATCH = 1_000
"""Checkpoints in a row: some 50 us, so that hardly any batch meets a tick."""

PROMISES = (
    Promise("checkpoint(), not poisoned", "<=", 60.0, "ns"),
    Promise("go() and await", "<=", 1.5, "x stock"),
)


def measure(side: Side, what: str, count: int) -> list[float] | Spent:
    """Return the nanoseconds of a checkpoint, batch by batch, or what `count` empty tasks take."""
    if what == "checkpoint":
        return side.run(checkpoints, count)  # type: ignore[no-any-return]
    return side.run(empty_tasks, count, side.kind == "preempted")  # type: ignore[no-any-return]


async def checkpoints(batches: int) -> list[float]:
    """Time batches of checkpoints inside a G."""
    import preemptio

    checkpoint = preemptio.checkpoint
    clock = time.perf_counter_ns

    async def body() -> list[float]:
        costs = []
        for _ in range(batches):
            start = clock()
            for _ in range(BATCH):
                pass
            middle = clock()
            for _ in range(BATCH):
                checkpoint()
            end = clock()
            costs.append((end - middle - (middle - start)) / BATCH)
            await asyncio.sleep(0)  # a fresh slice
        return costs

    return await preemptio.go(body())


async def empty() -> None:
    """Do nothing: what is left is the task."""


async def empty_tasks(count: int, preempted: bool) -> Spent:
    """Start `count` empty tasks and await each."""
    start_task: Callable[..., asyncio.Task[None]] = asyncio.create_task
    if preempted:
        import preemptio

        start_task = preemptio.go
    start = now()
    for _ in range(count):
        await start_task(empty())
    wall, cpu = since(start)
    return wall / count * 1e6, cpu / count * 1e6


def run(opt: Options) -> Iterator[Row]:
    """Measure checkpoints alone, and pair go() with create_task() on the stock loop of the same base."""
    for loop in opt.loops:
        ours, stock = Side("preempted", loop), Side("stock", loop)
        params = {"what": "checkpoint", "count": int(opt.scale(400, 200))}
        rounds = interleaved(__name__, {"ours": ours}, params, opt.rounds, turns=2)["ours"]
        medians = [statistics.median(batches) for batches in rounds]
        every = [ns for batches in rounds for ns in batches]
        note = f"p1 {percentile(every, 0.01):.0f}, p99 {percentile(every, 0.99):.0f} of {len(every)} batches"
        yield Row(PROMISES[0].name, loop, median_of(medians), note, "ns")

        params = {"what": "go", "count": int(opt.scale(10_000, 4_000))}
        us = interleaved(__name__, {"ours": ours, "stock": stock}, params, opt.rounds, turns=3 if opt.quick else 7)
        value, note = cost_ratio(us["ours"], us["stock"])
        costs = "{:.1f} against {:.1f} us".format(*(statistics.median(cpu for _, cpu in us[side]) for side in us))
        yield Row(PROMISES[1].name, loop, value, f"{costs}, {note}", "x stock")
