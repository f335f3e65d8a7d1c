"""Sides measured in turns, and the statistics over them.

Problem: on a shared two-core machine the same code runs 30 % faster or slower from one second to the next.
What does not work:
  - all of A, then all of B: the drift between the two is in the ratio;
  - the best of many: the two sides meet their best moment at different times;
  - both sides in one process: the second loop class un-specialises the bytecode that asyncio's base
    classes share with the first, and a timer left armed slows the side that never asked for one.
What we do: a process per side, kept open for one round; the rounds' sides run in turns A B, B A, A B, ...
(a linear drift cancels); the ratio is taken turn by turn and its median over all rounds is judged, with the
interval that the turns give it (`_stats.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from benchmarks._stats import Estimate, median_of
from benchmarks._work import Spent
from benchmarks._worker import Side, Worker


@dataclasses.dataclass(frozen=True)
class Promise:
    """One bound that a benchmark claims, for each loop in `loops`."""

    name: str
    direction: Literal["<=", ">="]
    bound: float
    unit: str = "x"
    loops: tuple[str, ...] = ("asyncio", "uvloop")

    def is_kept(self, value: float) -> bool:
        """Report whether a measured value stays within the bound."""
        return value <= self.bound if self.direction == "<=" else value >= self.bound


@dataclasses.dataclass(frozen=True)
class Row:
    """One measured value. It is judged when a promise has its name and loop, else it is for comparison."""

    name: str
    loop: str
    value: float  # an Estimate where there is an interval
    note: str = ""
    unit: str = "x"
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # what plots need besides; it is JSON


@dataclasses.dataclass(frozen=True)
class Skipped:
    """What a benchmark leaves out here. It may yield this among its rows."""

    what: str
    why: str  # with what to install


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    quick: bool = False
    loops: tuple[str, ...] = ("asyncio", "uvloop")
    rounds: int = 6  # the fewest whose medians have a 95 % interval
    have: frozenset[tuple[str, str]] = frozenset()  # names and loops of kept rows, for a benchmark with KEEPS_ROWS

    def scale(self, full: float, quick: float) -> float:
        """Choose a size: the full one, or the one for --quick."""
        return quick if self.quick else full


def interleaved(
    bench: str, sides: Mapping[str, Side], params: Mapping[str, Any], rounds: int, turns: int = 4, warm: int = 1
) -> dict[str, list[Any]]:
    """Call `measure` of module `bench` on every side in turns; return each side's values, turn by turn.

    Args:
        bench: The module whose `measure(side, **params)` runs in each side's process.
        sides: What to compare, by name.
        params: Arguments of `measure`, the same for all sides.
        rounds: How often each side's process is started anew (memory layout and hash seed change with it).
        turns: Measured turns in a round.
        warm: Turns before them that are thrown away.
    """
    values: dict[str, list[Any]] = {name: [] for name in sides}
    for _ in range(rounds):
        workers: dict[str, Worker] = {}
        try:
            for name, side in sides.items():
                workers[name] = Worker(bench, side)
            for turn in range(-warm, turns):
                order = list(workers) if turn % 2 == 0 else list(reversed(workers))
                got = {name: workers[name].measure(**params) for name in order}
                if turn >= 0:
                    for name in sides:
                        values[name].append(got[name])
        finally:
            for worker in workers.values():
                worker.close()
    return values


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> tuple[Estimate, str]:
    """Return the median of the turns' ratios with its interval, and a note with how many there are."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return median_of(ratios), f"{len(ratios)} turns"


def cost_ratio(ours: Sequence[Spent], theirs: Sequence[Spent]) -> tuple[Estimate, str]:
    """Return the ratio of the CPU time that two sides spent; the note has the wall clock's ratio.

    CPU time counts the ticks, their switches and every thread, and does not count what other processes
    took: here its ratios scatter a third as much as the wall clock's, around the same median. What it cannot see
    is a loop that idles while a task is ready, hence the second figure.
    """
    value, turns = ratio([cpu for _, cpu in ours], [cpu for _, cpu in theirs])
    wall, _ = ratio([wall for wall, _ in ours], [wall for wall, _ in theirs])
    return value, f"wall {wall:.3f}, {turns}"


def percentile(values: Sequence[float], q: float) -> float:
    """Return the q-quantile of the values as a value that was measured (no interpolation)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * q))]


def judge(row: Row, promises: Sequence[Promise]) -> tuple[Promise | None, str]:
    """Find the promise that a row answers to, and the verdict.

    A bound inside the figure's interval is `unsure`, neither kept nor missed: more rounds would tell.
    """
    for promise in promises:
        if promise.name == row.name and row.loop in promise.loops:
            if promise.is_kept(row.value):
                return promise, "ok"
            at_best = row.value
            if isinstance(row.value, Estimate):
                at_best = row.value.low if promise.direction == "<=" else row.value.high
            return promise, "unsure" if promise.is_kept(at_best) else "MISSED"
    return None, ""


def unanswered(rows: Sequence[Row], promises: Sequence[Promise], loops: Sequence[str]) -> Iterator[tuple[Promise, str]]:
    """List the promises that no row answered: a benchmark that died must not look like one that passed."""
    seen = {(row.name, row.loop) for row in rows}
    for promise in promises:
        for loop in promise.loops:
            if loop in loops and (promise.name, loop) not in seen:
                yield promise, loop
