"""The demo's figures, from samples to what is shown: percentiles, ratios, buckets, and how a time is written.

Percentiles are samples that were measured, not interpolations between two. A ratio is always plain / preempted.
Buckets are logarithmic, because the two runs are three powers of ten apart.

Context: pure functions; no terminal, no processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

EDGES: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Seconds between the buckets; below the first and above the last there is one more."""


@dataclass(frozen=True)
class Run:
    """What one run measured; times in seconds. The field names are the client's."""

    health: list[float]
    sent: int
    answered: int
    failed: int
    crunched: int
    crunch_rate: float
    late: list[float] = field(repr=False)


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    key: str
    name: str
    of: Callable[[Run], float]
    show: Callable[[float], str]


def percentile(values: Sequence[float], q: float) -> float:
    """Return the sample below which a share `q` of the samples lies; 0 without samples."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * q))] if ordered else 0.0


def duration(seconds: float) -> str:
    """Write a time with two or three digits that mean something."""
    ms = seconds * 1e3
    if ms < 10:
        return f"{ms:.2f} ms"
    return f"{ms:.0f} ms" if ms < 1000 else f"{seconds:.2f} s"


def ratio(plain: float, preempted: float) -> str:
    """Write plain / preempted."""
    if preempted <= 0:
        return "-"
    value = plain / preempted
    return f"{value:,.0f}x" if value >= 10 else f"{value:.2f}x"


def _count(value: float) -> str:
    return f"{value:.0f}"


def _rate(value: float) -> str:
    return f"{value:.2f}"


FIGURES: Final = (
    Figure("health_p50", "health check, p50", lambda run: percentile(run.health, 0.5), duration),
    Figure("health_p99", "health check, p99", lambda run: percentile(run.health, 0.99), duration),
    Figure("health_max", "health check, max", lambda run: max(run.health, default=0.0), duration),
    Figure("heartbeat_p50", "heartbeat late, p50", lambda run: percentile(run.late, 0.5), duration),
    Figure("heartbeat_p99", "heartbeat late, p99", lambda run: percentile(run.late, 0.99), duration),
    Figure("heartbeat_max", "heartbeat late, max", lambda run: max(run.late, default=0.0), duration),
    Figure("health_answered", "health checks answered", lambda run: run.answered, _count),
    Figure("crunch_rate", "/crunch per second", lambda run: run.crunch_rate, _rate),
)


def figures(run: Run) -> dict[str, float]:
    """Return the figures of a run by key, with the seconds and counts that they are."""
    return {figure.key: figure.of(run) for figure in FIGURES} | {"health_sent": run.sent, "failed": run.failed}


def buckets(runs: Sequence[Sequence[float]]) -> list[tuple[str, list[int]]]:
    """Return label and count per run, from the first bucket that any run reaches to the last."""
    counts = [[0] * len(runs) for _ in range(len(EDGES) + 1)]
    for column, values in enumerate(runs):
        for value in values:
            counts[sum(value >= edge for edge in EDGES)][column] += 1
    used = [index for index, row in enumerate(counts) if any(row)] or [0]
    return [(_label(index), counts[index]) for index in range(used[0], used[-1] + 1)]


def _label(index: int) -> str:
    if index == 0:
        return f"under {_short(EDGES[0])}"
    if index == len(EDGES):
        return f"over {_short(EDGES[-1])}"
    low, high = _short(EDGES[index - 1]), _short(EDGES[index])
    same_unit = low.partition(" ")[2] == high.partition(" ")[2]
    return f"{low.partition(' ')[0] if same_unit else low} - {high}"


def _short(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1e3:g} ms"


def bar(count: int, most: int, width: int, *, ascii_only: bool = False) -> str:
    """Draw a count to the eighth of a character; the smallest count that is not 0 can be seen."""
    if not count or not most:
        return ""
    if ascii_only:
        return "#" * max(1, round(count * width / most))
    whole, eighths = divmod(max(1, round(count * width * 8 / most)), 8)
    return "█" * whole + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths]
