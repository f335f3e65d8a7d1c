"""Seeking: from an ambiguous place to the next safe point, by `sys.settrace`, within the same step.

Problem. A step that spends its time in C calls (json, re, sorted) is nearly always interrupted at a CALL, which is
ambiguous. Waiting for a tick that happens to land on a back edge may take for ever.

What we do. A tick that is refused for its place arms a trace function on the frames of the step, from the
interrupted one out to its owner. The first function entry, or the first line event that went backward in its
frame (a loop's back edge), that passes the rules ends the search: the trace function is removed and the step is
stopped there.

What does not work. Switching in the trace callback itself: the thread's tracing depth stays above zero while the
callback is away, and no other greenlet is ever traced again. `sys.call_tracing` resets the depth for the call.

Invariants. Only armed when nobody else traces; who takes the trace function from a search ends it, and what they put
on its frames stays. Bounded by `EVENTS`; removed as soon as another step runs. Frames keep no `f_trace` of ours
afterwards.

Context: `arm` in the tick handler; `_on_event` in the interpreter's trace callback, in whatever greenlet runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from preemptio._core._reasons import Verdict
from preemptio._log import report_internal
from preemptio._preempt._opcodes import at_safe_opcode
from preemptio._preempt._tracers import OwnTracer, install, tracer_installed, uninstall
from preemptio._preempt._whose import COROUTINE

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._processor import Processor
    from preemptio._preempt._safepoint import SafePoints

EVENTS: Final = 500
"""Trace events after which a search gives up: about 200 us of tracing; the next tick starts another."""

DEPTH: Final = 64
"""Frames that get a local trace function; a deeper recursion is met again at its next entry."""

NOT_OURS: Final = frozenset({Verdict.STDLIB, Verdict.IMPORT, Verdict.RUNTIME, Verdict.THIRD_PARTY, Verdict.DENIED})
"""Verdicts at an entry that make the lines of that frame not worth tracing; what it calls still is."""

Trace = Callable[[FrameType, str, Any], Any]


class Seeker(OwnTracer):
    """One processor's search for a safe point."""

    def __init__(self, p: Processor, rules: SafePoints, found: Callable[[G, FrameType], Trace | None]) -> None:
        """Call `found(g, frame)` at the safe point; it returns when the G runs again, with what is to trace it then."""
        self._p = p
        self._rules = rules
        self._found = found
        self._g: G | None = None
        self._tick = -1
        self._left = 0
        self._at: dict[FrameType, int] = {}

    @property
    def armed(self) -> bool:
        """Whether a search is on; one that somebody took the trace function from (breakpoint()) is over."""
        if self._g is not None and sys.gettrace() != self._on_event:
            self.disarm()
        return self._g is not None

    def arm(self, g: G, frame: FrameType) -> bool:
        """Start a search in the step of `g`; False when somebody else traces, or is about to."""
        if tracer_installed():
            return False
        self._g, self._tick, self._left = g, self._p.schedtick, EVENTS
        at: FrameType | None = frame
        for _ in range(DEPTH):
            if at is None:
                break
            at.f_trace = self._on_event
            self._at[at] = at.f_lasti
            if at.f_code.co_flags & COROUTINE:
                break
            at = at.f_back
        if not install(self._on_event):
            self.disarm()
        return self._g is not None

    def disarm(self) -> None:
        """Remove every trace of the search. A tick may come in the middle of it."""
        self._g = None
        uninstall(self._on_event)
        at, self._at = self._at, {}
        for frame in at:
            if frame.f_trace == self._on_event:
                frame.f_trace = None

    def _on_event(self, frame: FrameType, event: str, _arg: object) -> Trace | None:
        g = self._g
        self._left -= 1
        if g is None or self._p.schedtick != self._tick or self._p.carrier is None or self._left < 0:
            self.disarm()
            return None
        lasti = frame.f_lasti
        if event == "call":
            candidate = at_safe_opcode(frame.f_code, lasti)
        elif event == "line":
            candidate = lasti <= self._at.get(frame, -1)
        else:
            candidate = False
        self._at[frame] = lasti
        if event == "return":
            self._at.pop(frame, None)
        if not candidate:
            return self._on_event
        try:
            verdict = Verdict.MASKED if self._p.masked(g) else self._rules.verdict(g, frame, certain=True)
        except Exception as exc:  # the frame below is the user's: an error of ours must not surface there
            self.disarm()
            self._p.host.post(report_internal, "seek", exc)
            return None
        if verdict is Verdict.SAFE:
            self.disarm()
            after: Trace | None = sys.call_tracing(self._found, (g, frame))
            return after
        return None if event == "call" and verdict in NOT_OURS else self._on_event
