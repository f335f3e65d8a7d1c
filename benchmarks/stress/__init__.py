"""The same program with and without preemption: whatever differs is a bug.

A deterministic program (`_program.py`: recursion, generators, sorts, exceptions, json, sockets, queues,
cancellations, context variables, finalizers) runs on a stock loop, then again and again on a preempting one with
a slice of 200 us, until it was preempted often enough. Three things can go wrong: a process that crashes, a result
that differs, and a wake-up that is lost - then the program never ends, and the watchdog prints who waits and where
the thread stands.
"""

from __future__ import annotations

import dataclasses
import gc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks._harness import Options, Promise, Row
from benchmarks._worker import Side, Worker, WorkerError

PATIENCE = 30.0
"""Seconds without progress - a run of the program takes about one - before it counts as hung."""

SEEDS = 4
"""Programs that differ, each needs one run without preemption."""

PROMISES = (Promise("results that differ", "<=", 0, "results"),)


@dataclasses.dataclass
class Outcome:
    """What came of the runs so far."""

    runs: int = 0
    preemptions: Counter[str] = dataclasses.field(default_factory=Counter)
    wrong: list[str] = dataclasses.field(default_factory=list)

    def describe(self) -> str:
        """Tell the counts in one line."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.preemptions.items()))
        return f"{self.preemptions.total()} preemptions ({kinds}) in {self.runs} runs, {len(self.wrong)} wrong"


def measure(side: Side, seed: int, skip: list[str]) -> Any:
    """Run the program once; return its results and its preemptions by kind."""
    from benchmarks.stress import _program

    gc.freeze()  # the program collects often: let it look through its own garbage, not through every module
    return side.run(_program.program, seed, skip)


def difference(got: str | None, right: str | None) -> str:
    """Tell two results from a little before the first character in which they differ."""
    a, b = str(got), str(right)
    start = max(0, next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), 0) - 40)
    return f"{a[start : start + 100]} instead of {b[start : start + 100]}"


def compare(loop: str, slice_: float, goal: int, say: Callable[[str], None], skip: Sequence[str] = ()) -> Outcome:
    """Run until the goal is reached, or until a side crashes or hangs; `wrong` says so.

    Stops early, with too few preemptions to show for it, when runs bring hardly any.
    """
    outcome = Outcome()
    stock, preempted = (Worker(__name__, Side(kind, loop, slice_), PATIENCE) for kind in ("stock", "preempted"))
    try:
        expected = [stock.measure(seed=seed, skip=skip)[0] for seed in range(SEEDS)]
        while outcome.preemptions.total() < goal:
            seed = outcome.runs % SEEDS
            results, preemptions = preempted.measure(seed=seed, skip=skip)
            outcome.runs += 1
            outcome.preemptions.update(preemptions)
            for name in sorted(expected[seed].keys() | results.keys()):
                right, got = expected[seed].get(name), results.get(name)
                if right != got:
                    outcome.wrong.append(f"run {outcome.runs}, seed {seed}, {name}: {difference(got, right)}")
                    say(outcome.wrong[-1])
            say(outcome.describe())
            if outcome.runs > SEEDS and outcome.preemptions.total() < outcome.runs:
                outcome.wrong.append("hardly anything was preempted")
                break
    except WorkerError as error:
        outcome.wrong.append(f"run {outcome.runs + 1}: {error}")
    finally:
        stock.close()
        preempted.close()
    return outcome


def run(opt: Options) -> Iterator[Row]:
    """Stress each loop for a while; `python -m benchmarks.stress` is the long run."""
    goal = int(opt.scale(20_000, 4_000))
    for loop in opt.loops:
        outcome = compare(loop, 0.0002, goal, lambda _: None)
        note = "; ".join([outcome.describe(), *outcome.wrong[:3]])
        yield Row(PROMISES[0].name, loop, len(outcome.wrong), note, "results")
