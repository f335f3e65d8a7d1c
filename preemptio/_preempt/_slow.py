"""Slow steps: who kept the loop from turning, for how long, and why nobody took the CPU from him.

Problem. A step that cannot be preempted, one long call of C code, or a callback makes everybody else late. asyncio
tells it in debug mode only, by timing every handle.

What does not work. A clock around each step or each turn, for something that hardly ever happens. Waiting for
enough refusals: one C call of a second is refused never, since no tick can look before it is over.

What we do. The tick meets whatever runs too long; so it is the tick that compares the time with that of the last turn.
When it is late, it notes the place, and posts one callback; when that runs the loop has turned, and how long it could
not is known. The time between two ticks is put to the place of the second, and what is told of is where it was longest.
A loop for which nothing waits is not late, however long it takes: the time counts from the last tick that found it so.

Invariants. One `Late` and one callback for one stretch without a turn. No frame is kept, which would keep variables.

Context: `look` in the tick handler; a `Late` is read in the loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from preemptio._core._reasons import Verdict
from preemptio._preempt._explain import advise, beyond, note, place
from preemptio._preempt._whose import Whose

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from preemptio._core._g import G
    from preemptio._core._processor import Processor
    from preemptio._preempt._reports import Reports
    from preemptio._preempt._safepoint import SafePoints


CALLBACK: Final = "a callback of the loop, which is no task's step: only tasks are preempted"
ONE_CALL: Final = "one call of C code, as it seems: no tick could look before it was over"


class Met:
    """One place where ticks have met what runs, and for how long it seems to have been there."""

    __slots__ = ("advice", "called_at", "g", "place", "seconds", "verdict", "why")

    def __init__(self, g: G | None) -> None:
        """Begin with what is to be filled in."""
        self.g = g
        self.seconds = 0.0
        self.verdict: Verdict | None = None
        self.place = self.called_at = self.why = self.advice = ""


class Late:
    """One stretch in which the loop did not turn, as far as ticks have seen it."""

    __slots__ = ("_last", "_looked_at", "_met", "since")

    def __init__(self, since: float) -> None:
        """Begin it: monotonic time of the last turn."""
        self.since = self._looked_at = since
        self._met: dict[tuple[Verdict | None, CodeType], Met] = {}
        self._last: Met | None = None

    def add(self, now: float, verdict: Verdict | None, code: CodeType, make: Callable[[], Met]) -> None:
        """Put the time since the last look to a place; `make` tells of one that is new."""
        met = self._met.get((verdict, code))
        if met is None:
            met = self._met[verdict, code] = make()
        self._last = met
        self.add_to_last(now)

    def add_to_last(self, now: float) -> bool:
        """Put the time since the last look to the place of the last one; False if there is none."""
        if self._last is None:
            return False
        self._last.seconds += now - self._looked_at
        self._looked_at = now
        return True

    def take(self) -> Met | None:
        """Return the place that it was longest at, and forget them: tasks must not be kept by what was told of them."""
        met, self._met = self._met, {}  # at once: a tick may come here, too, and add to what is gone through
        self._last = None
        return max(met.values(), key=lambda each: each.seconds, default=None)


class Slow:
    """One ticker's watch."""

    def __init__(self, p: Processor, rules: SafePoints, reports: Reports) -> None:
        """Start with nothing late."""
        self._p = p
        self._rules = rules
        self._reports = reports
        self._late = Late(-1.0)
        self._quiet_at = 0.0  # when a tick last found that nothing waits

    def look(self, frame: FrameType | None) -> None:
        """Compare the time with the last turn's, now that what runs was looked at, and refused if it was."""
        p = self._p
        now, since = time.monotonic(), max(p.now, p.resumed_at, self._quiet_at)
        seconds = self._reports.slow_after
        if not seconds or frame is None or not p.active:
            return
        if now - since < 2 * p.slice:  # what is preempted in time comes no further
            return
        if p.host.quiet():
            self._quiet_at = now
            return
        if now - since < seconds:
            return
        late = self._late
        if late.since != since:
            self._late = late = Late(since)
            p.host.post(self._reports.slow, late)
        self._note(late, frame, now)

    def _note(self, late: Late, frame: FrameType, now: float) -> None:
        step = self._p.step
        g, rules = (None, self._rules) if step is None else (step[0], self._rules.of(step[0]))
        at = _outward(rules, frame, lambda whose: whose is not Whose.RUNTIME)
        if at is not frame and late.add_to_last(now):
            return  # the runtime's own code tells nothing, and an earlier tick told more
        at = at or _stands(g) or frame
        verdict: Verdict | None = Verdict.NO_OWNER
        if g is not None:
            refused = g._extra.last_refusal
            seen = refused is not None and refused[3] >= late.since
            verdict = beyond(self._rules, g, refused[0], frame) if refused is not None and seen else None
        late.add(now, verdict, at.f_code, lambda: self._met(g, verdict, at, rules, frame))

    def _met(self, g: G | None, verdict: Verdict | None, at: FrameType, rules: SafePoints, frame: FrameType) -> Met:
        users = _outward(rules, at, lambda whose: whose is Whose.USER)
        met = Met(g)
        met.verdict, met.place = verdict, place(at)
        met.called_at = "" if users is None or users is at else place(users)
        if g is None:
            met.why, met.advice = CALLBACK, Verdict.NO_OWNER.advice
        elif verdict is None:
            met.why, met.advice = ONE_CALL, Verdict.OPCODE.advice
        else:
            met.why = verdict.doc + note(verdict, g)
            met.advice = advise(self._rules, g, verdict, frame)
        return met


def _outward(rules: SafePoints, frame: FrameType, wanted: Callable[[Whose], bool]) -> FrameType | None:
    """Return the nearest frame, from this one outward, of code that belongs to somebody wanted."""
    at: FrameType | None = frame
    while at is not None and not wanted(rules.ownership.whose(at)):
        at = at.f_back
    return at


def _stands(g: G | None) -> FrameType | None:
    """Return the outermost frame of a step that has just ended: a call of C code ends, and the next `await` leaves it.

    The interpreter looks for signals at few instructions, and between those two there need not be one.
    """
    coro = None if g is None or g.task is None else g.task.get_coro()
    frame: FrameType | None = getattr(coro, "cr_frame", None)
    return frame
