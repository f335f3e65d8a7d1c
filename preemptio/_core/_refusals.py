"""What is counted of refusals: of one G, for `G.why_not_preempted()`, and of one loop, for `lowlevel.counters()`.

Problem. "Why is this hog not preempted?" is asked when it is over, by somebody who was not there. What does not work:
to keep the refused frame, which would keep all its variables alive. What we do. The tick keeps the verdict, the code
and the instruction of a G's last refusal in one tuple, and counts; the text is made here, when somebody asks.

Invariants. Both records are copies: they do not change any more, and may be kept.

Context: any thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Final

from preemptio._core._reasons import PreemptKind, Verdict

LastRefusal = tuple[Verdict, CodeType, int, float]
"""Verdict, code and instruction of the interrupted frame, monotonic time."""

NEVER: Final = "it was never refused"


@dataclass(frozen=True, slots=True)
class Refusals:
    """Why a G was not preempted, as `G.why_not_preempted()` tells it. Print it."""

    verdict: Verdict | None
    """The last refusal; None if there was none."""
    where: str
    """The interrupted place, as `file:line in function`; "" if there was none."""
    times: int
    """How often this verdict refused it."""
    ago: float
    """Seconds since the last refusal, at the time of asking."""
    counts: Mapping[Verdict, int]
    """How often each verdict refused it."""

    @property
    def advice(self) -> str:
        """What to do about the last refusal."""
        return "" if self.verdict is None else self.verdict.advice

    def __str__(self) -> str:
        """Lay it out in a few lines."""
        if self.verdict is None:
            return NEVER
        counts = ", ".join(f"{verdict} {n}" for verdict, n in self.counts.items())
        return (
            f"last refused {self.ago:.3f} s ago, at {self.where}: {self.verdict} ({self.times} times)\n"
            f"  why: {self.verdict.doc}\n"
            f"  advice: {self.advice}\n"
            f"  all refusals: {counts}"
        )


@dataclass(frozen=True, slots=True)
class Counters:
    """What was counted on a loop since it was made, as `lowlevel.counters()` tells it. Never reset."""

    refusals: Mapping[Verdict, int]
    """Ticks that found a step which had used its slice and could not be stopped, by verdict."""
    preemptions: Mapping[PreemptKind, int]
    """Preemptions, by kind."""
