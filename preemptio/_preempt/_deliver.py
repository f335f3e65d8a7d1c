"""Raising a cancellation in a task that was stopped by the tick: not where it stands, but a few instructions later.

Problem. A task is stopped at a loop's back edge. CPython's exception tables do not cover that instruction reliably
(3.13 ends a `try` before the jump back of a `while`; 3.11 and 3.12 do so for a loop of one line), because no exception
is expected to arise there. Raised at the safe point itself a CancelledError would pass by `finally` and `with`.

What we do. The task runs on, traced instruction by instruction, and the exception is raised at the first one that is
neither a jump back nor a prologue: it belongs to the loop's body and is covered as the body is. A loop with no
other instruction (`while True: pass`) gets it after a few rounds all the same, as Ctrl-C would hit it.

Context: `arm` in the tick handler or the seeker's trace callback, on top of the stopped frame; `_on_event` in the
interpreter's trace callback.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from preemptio._preempt._opcodes import may_raise_at
from preemptio._preempt._restart import WRAPPER
from preemptio._preempt._tracers import OwnTracer, install, tracer_installed, uninstall
from preemptio._preempt._whose import COROUTINE

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._processor import Processor
    from preemptio._preempt._everywhere import Everywhere

DEPTH: Final = 64
"""Frames, from the innermost outward, in which the exception may be raised."""

EVENTS: Final = 16
"""Instructions after which it is raised wherever the task stands."""


class Delivery(OwnTracer):
    """One exception on its way into one step."""

    def __init__(self, p: Processor, g: G, exc: BaseException, everywhere: Everywhere | None = None) -> None:
        """Carry `exc` to the G that runs on `p`, in the place of fault injection if that is on."""
        self._p = p
        self._everywhere = everywhere
        self._g = g
        self._exc = exc
        self._tick = p.schedtick
        self._left = EVENTS
        self._frames: list[FrameType] = []

    @staticmethod
    def under_way() -> bool:
        """Report whether one is on its way in this thread: the step must not be stopped before it has got it."""
        return isinstance(getattr(sys.gettrace(), "__self__", None), Delivery)

    def arm(self, frame: FrameType) -> bool:
        """Begin to trace the step from `frame` outward; False when somebody else than fault injection traces."""
        if tracer_installed() and (self._everywhere is None or not self._everywhere.traces):
            return False
        at: FrameType | None = frame
        while at is not None and len(self._frames) < DEPTH:
            if at.f_code is not WRAPPER:  # it has something to tidy up
                at.f_trace = self._on_event
                at.f_trace_opcodes = True
            self._frames.append(at)
            if at.f_code.co_flags & COROUTINE:
                break
            at = at.f_back
        if not install(self._on_event):
            self._disarm()
            return False
        return True

    def local(self) -> Callable[[FrameType, str, Any], Any]:
        """Return the local trace function: what a trace callback that armed this must return."""
        return self._on_event

    def _disarm(self) -> None:
        uninstall(self._on_event)
        for frame in self._frames:
            frame.f_trace_opcodes = False
            frame.f_trace = None
        self._frames.clear()
        if self._everywhere is not None:
            self._everywhere.resume()

    def _on_event(self, frame: FrameType, event: str, _arg: object) -> Any:
        if self._p.schedtick != self._tick or self._p.carrier is None:
            self._disarm()  # the step ended before: the task gets it at its next await
            self._p.host.post(self._p.host.undelivered, self._g, self._exc)
            return None
        if event == "call":
            return None
        if event in ("opcode", "line"):  # 3.13 ends opcode events when an untraced frame or thread runs the same code
            self._left -= 1
            if self._left <= 0 or may_raise_at(frame.f_code, frame.f_lasti):
                self._disarm()
                raise self._exc
        return self._on_event
