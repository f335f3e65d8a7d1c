"""What metrics cost a task step when nothing is preempted: the same loop, with and without.

Steps are those of `step`. One in 64 is measured, and so are the loop's turns; what is merely counted is there anyway.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks._harness import Options, Promise, Row, cost_ratio, interleaved
from benchmarks._work import Spent
from benchmarks._worker import Side, open_runner
from benchmarks.step import steps_of

TASKS = (1, 100)

PROMISES = tuple(Promise(f"{tasks} tasks", "<=", 1.05, "x without") for tasks in TASKS)


def measure(side: Side, tasks: int, steps: int) -> Spent:
    """Return the nanoseconds that one step costs; the side measures metrics or not."""
    from preemptio import runtime

    spent: Spent = side.run(steps_of, tasks, steps)
    assert runtime.metrics(open_runner[0].get_loop()).enabled is side.metrics
    return spent


def run(opt: Options) -> Iterator[Row]:
    """Pair each loop with itself."""
    for loop in opt.loops:
        sides = {"off": Side("preempted", loop), "on": Side("preempted", loop, metrics=True)}
        for tasks in TASKS:
            params = {"tasks": tasks, "steps": int(opt.scale(40_000, 15_000))}
            ns = interleaved(__name__, sides, params, opt.rounds, turns=5 if opt.quick else 9)
            value, note = cost_ratio(ns["on"], ns["off"])
            yield Row(f"{tasks} tasks", loop, value, note, "x without")
