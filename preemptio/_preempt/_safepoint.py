"""Where it is safe: the ladder of rules that an interrupted frame must pass.

The guarantee that the rules give: a task is stopped only at the entry of a Python function or at a loop's back edge,
only in code whose author can be expected to know (the user's, or code that only computes), and never inside the
runtime, the garbage collector, a finalizer, an import or a debugger. Straight-line code is atomic.

The frame rule. From the interrupted frame outward to the innermost coroutine: frames beyond it stand at an await,
where nothing can be broken. That coroutine owns the step and must be the user's, or the one that `go(function)`
made. The plain functions that it called run as they would in a thread: the standard library's stateful modules
never, pure computation and ordinary third-party code yes, async-aware libraries no.

Rules are ordered cheapest and commonest refusal first; each returns why not.

Context: tick handler and trace callback, on top of the interrupted frame.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Final

from preemptio._core._gstatus import RUNNING
from preemptio._core._reasons import Verdict
from preemptio._preempt._gcfence import FENCE
from preemptio._preempt._opcodes import at_safe_opcode
from preemptio._preempt._tracers import debugger_present
from preemptio._preempt._whose import Ownership, Whose

if TYPE_CHECKING:
    from preemptio._core._g import G

COROUTINE: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE

GO_FRAMES: Final[set[CodeType]] = set()
"""Codes of the coroutines that `go(function)` wraps a plain function in: they own a step without being user code."""

_REFUSED: Final = {
    Whose.STDLIB: Verdict.STDLIB,
    Whose.IMPORT: Verdict.IMPORT,
    Whose.ASYNC_LIBRARY: Verdict.THIRD_PARTY,
    Whose.RUNTIME: Verdict.RUNTIME,
}


class SafePoints:
    """The rules, with the configuration that they depend on."""

    def __init__(self, *, policy: str, allow: tuple[str, ...], async_off: bool) -> None:
        """Take the knobs: whose code may be preempted, and whether asynchronous preemption is off altogether."""
        self.ownership = Ownership(allow)
        self._any_code = policy == "any"
        self._async_off = async_off

    def verdict(self, g: G, frame: FrameType, *, certain: bool = False) -> Verdict:
        """Say whether `g` may be stopped at `frame`, and if not, why.

        Args:
            g: the G whose step runs.
            frame: the innermost Python frame, the one that was interrupted.
            certain: the caller knows that the frame is at an entry or a back edge (a trace event said so).
        """
        if self._async_off:
            return Verdict.OFF
        if g.status is not RUNNING:
            return Verdict.NOT_RUNNING
        if g.locks:
            return Verdict.MASKED
        if FENCE.closed():
            return Verdict.GC
        if debugger_present():
            return Verdict.TRACER
        if self.ownership.whose(frame) is Whose.RUNTIME:
            return Verdict.RUNTIME
        if not certain and not at_safe_opcode(frame.f_code, frame.f_lasti):
            return Verdict.OPCODE
        return self._frames(frame)

    def _frames(self, innermost: FrameType) -> Verdict:
        """Walk outward to the owner of the step."""
        whose: Callable[[FrameType], Whose] = self.ownership.whose
        frame: FrameType | None = innermost
        last: CodeType | None = None
        while frame is not None:
            code = frame.f_code
            if code is last:  # recursion: the same answer
                frame = frame.f_back
                continue
            last = code
            if code.co_flags & COROUTINE:
                return self._owner(frame)
            if code.co_name == "__del__":
                return Verdict.FINALIZER
            refused = _REFUSED.get(whose(frame))
            if refused is not None and (refused is Verdict.RUNTIME or not self._any_code):
                return refused
            frame = frame.f_back
        return Verdict.NO_OWNER

    def _owner(self, frame: FrameType) -> Verdict:
        if self._any_code or frame.f_code in GO_FRAMES:
            return Verdict.SAFE
        return Verdict.SAFE if self.ownership.whose(frame) is Whose.USER else Verdict.OWNER
