"""The price of a task step when nothing is preempted: what every program pays, hogs or not.

`await asyncio.sleep(0)` is a step and nothing else. One task alone pays the loop's turn at every step, 100
ready tasks share it, and 4 stand between. On asyncio the whole turn is the library's, so it may not cost more; on
uvloop each captured step pays for its place in a queue that is C on the stock side.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterator

from benchmarks._harness import Options, Promise, Row, cost_ratio, interleaved
from benchmarks._work import Spent, now, since
from benchmarks._worker import Side

BOUNDS = {"asyncio": {1: 1.0, 4: 1.0, 100: 1.0}, "uvloop": {1: 1.3, 4: 2.1, 100: 2.7}}

PROMISES = tuple(
    Promise(f"{tasks} tasks", "<=", bound, "x stock", (loop,))
    for loop, bounds in BOUNDS.items()
    for tasks, bound in bounds.items()
)


def measure(side: Side, tasks: int, steps: int) -> Spent:
    """Return the nanoseconds, by both clocks, that one step costs with `tasks` tasks ready."""
    return side.run(steps_of, tasks, steps)  # type: ignore[no-any-return]


async def steps_of(tasks: int, steps: int) -> Spent:
    """Divide the steps among the tasks and time them all."""
    share = steps // tasks
    start = now()
    await asyncio.gather(*[asyncio.create_task(yields(share)) for _ in range(tasks)])
    wall, cpu = since(start)
    return wall / (share * tasks) * 1e9, cpu / (share * tasks) * 1e9


async def yields(count: int) -> None:
    """Take `count` steps."""
    for _ in range(count):
        await asyncio.sleep(0)


def run(opt: Options) -> Iterator[Row]:
    """Pair each loop with its stock self."""
    for loop in opt.loops:
        sides = {"stock": Side("stock", loop), "preempted": Side("preempted", loop)}
        for tasks in BOUNDS[loop]:
            params = {"tasks": tasks, "steps": int(opt.scale(40_000, 15_000))}
            ns = interleaved(__name__, sides, params, opt.rounds, turns=3 if opt.quick else 7)
            value, note = cost_ratio(ns["preempted"], ns["stock"])
            ours, theirs = (statistics.median(cpu for _, cpu in ns[side]) for side in ("preempted", "stock"))
            yield Row(f"{tasks} tasks", loop, value, f"{ours:.0f} against {theirs:.0f} ns, {note}", "x stock")
