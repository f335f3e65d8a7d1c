"""What the tick tells the user, once it is the loop's turn: how often a thing is said.

The tick posts these; each is counted by file and reason, and said the first, the tenth, the hundredth time.

Context: the loop, in callbacks.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from preemptio._core._gstatus import DEAD
from preemptio._log import Repeats, report_blocked, report_refusal, report_signals_lost, report_slow

if TYPE_CHECKING:
    from types import CodeType

    from preemptio._core._g import G
    from preemptio._core._reasons import Verdict
    from preemptio._preempt._slow import Late


class Reports:
    """One loop's."""

    def __init__(self, slow_after: float) -> None:
        """Start with nothing said. `slow_after`: seconds without a turn that are told of; 0: none are."""
        self.slow_after = slow_after
        self._repeats = Repeats()
        self._worst: dict[tuple[str, str], float] = {}

    def blocked(self, g: G, place: CodeType, line: int) -> None:
        """A task was set aside in a call that blocks."""
        times = self._repeats.count(("blocked", place.co_filename))
        if times:
            report_blocked(g, place, line, times)

    def refused(self, g: G, verdict: Verdict, place: CodeType, line: int, advice: str) -> None:
        """A task cannot be preempted. If it has ended meanwhile that it was slow says enough."""
        if g.status is DEAD:
            return
        times = self._repeats.count(("refused", str(verdict), place.co_filename))
        if times:
            report_refusal(g, verdict, place, line, advice, times)

    def slow(self, late: Late) -> None:
        """The loop turns again."""
        met = late.take()
        if met is None:
            return
        seconds, key = time.monotonic() - late.since, (str(met.verdict), met.place.partition(":")[0])
        worst = self._worst[key] = max(seconds, self._worst.get(key, 0.0))
        times = self._repeats.count(("slow", key))
        if times:
            report_slow(
                met.g,
                seconds,
                met.verdict,
                met.place,
                why=met.why,
                called_at=met.called_at,
                advice=met.advice,
                times=times,
                worst=worst,
            )

    def signals_lost(self, full: str, waited: int) -> None:
        """Wake-up bytes did not fit."""
        if self._repeats.count(("signals", full)):
            report_signals_lost(full, waited)
