"""Where it is safe: the ladder of rules that an interrupted frame must pass.

The guarantee that the rules give: a task is stopped only at the entry of a Python function or at a loop's back edge,
only in code whose author can be expected to know (the user's, or code that only computes), and never inside the
runtime, the garbage collector, a finalizer, an import or a debugger. Straight-line code is atomic.

The frame rule. From the interrupted frame outward to the innermost coroutine: frames beyond it stand at an await,
where nothing can be broken. That coroutine owns the step and must be the user's, or the one that `go(function)`
made. The plain functions that it called run as they would in a thread: the standard library's stateful modules
never, pure computation and ordinary third-party code yes, async-aware libraries no. What the user denies is refused
even where this rule is off. A task that has a policy of its own is judged by rules that differ in this only (`of`).

What the step holds. However the code is owned, a step that holds a thread lock (`_held`) is not stopped, nor one that C
code called back into which must not be left (`_cframes`).

Rules are ordered cheapest and commonest refusal first; each returns why not.

Context: tick handler and trace callback, on top of the interrupted frame.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Final

from preemptio._core._gstatus import RUNNING
from preemptio._core._reasons import Verdict
from preemptio._preempt._cframes import COROUTINE as COROUTINE, in_the_way
from preemptio._preempt._gcfence import FENCE
from preemptio._preempt._held import holder
from preemptio._preempt._opcodes import at_safe_opcode
from preemptio._preempt._tracers import debugger_present
from preemptio._preempt._whose import Ownership, Whose

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._preempt._policy import SafePointPolicy

GO_FRAMES: Final[set[CodeType]] = set()
"""Codes of the coroutines that `go(function)` wraps a plain function in: they own a step without being user code."""

_REFUSED: Final = {
    Whose.STDLIB: Verdict.STDLIB,
    Whose.IMPORT: Verdict.IMPORT,
    Whose.ASYNC_LIBRARY: Verdict.THIRD_PARTY,
    Whose.RUNTIME: Verdict.RUNTIME,
    Whose.DENIED: Verdict.DENIED,
}

_ALWAYS: Final = frozenset({Verdict.RUNTIME, Verdict.DENIED})
"""Refusals that hold under PREEMPTIO_POLICY=any as well."""

POLICIES: Final = 64
"""Policies of tasks that are remembered in their looked-up form; more are looked up again."""


class SafePoints:
    """The rules, with the configuration that they depend on."""

    def __init__(self, *, policy: str, allow: tuple[str, ...], deny: tuple[str, ...] = (), async_off: bool) -> None:
        """Take the knobs: whose code may be preempted, and whether asynchronous preemption is off altogether."""
        self.ownership = Ownership(allow, deny)
        self._loops = self  # the rules for tasks without a policy
        self._of: dict[SafePointPolicy, SafePoints] = {}
        self._any_code = policy == "any"
        self._async_off = async_off

    def of(self, g: G) -> SafePoints:
        """Return the rules for `g`: with its own policy, if it has one, added to the loop's."""
        policy = g.policy
        loops = self._loops
        if policy is None:
            return loops
        found = loops._of.get(policy)
        if found is None:
            found = copy.copy(loops)
            found.ownership = loops.ownership.under(policy)
            if len(loops._of) >= POLICIES:
                loops._of.clear()
            loops._of[policy] = found
        return found

    def verdict(
        self, g: G, frame: FrameType, *, certain: bool = False, peek: bool = False, elsewhere: bool = False
    ) -> Verdict:
        """Say whether `g` may be stopped at `frame`, and if not, why.

        Args:
            g: the G whose step runs.
            frame: the innermost Python frame, the one that was interrupted.
            certain: the caller knows that the frame is at an entry or a back edge (a trace event said so).
            peek: nothing may be changed: somebody only asks.
            elsewhere: asked in another thread, whose trace function says nothing of the step's.
        """
        if self._async_off:
            return Verdict.OFF
        if g.status is not RUNNING:
            return Verdict.NOT_RUNNING
        if g.locks:
            return Verdict.MASKED
        if FENCE.closed(peek=peek):
            return Verdict.GC
        if not elsewhere and debugger_present():
            return Verdict.TRACER
        rules = self.of(g)
        if rules.ownership.whose(frame) is Whose.RUNTIME:
            return Verdict.RUNTIME
        if not certain and not at_safe_opcode(frame.f_code, frame.f_lasti):
            return Verdict.OPCODE
        verdict = rules.walk(frame)[0]
        if verdict is not Verdict.SAFE or elsewhere:  # what another thread's frames hold may change while we read it
            return verdict
        if holder(frame) is not None:
            return Verdict.LOCK
        return Verdict.C_FRAME if in_the_way(frame, peek=peek) else Verdict.SAFE

    def walk(self, innermost: FrameType) -> tuple[Verdict, FrameType | None]:
        """Walk outward to the owner of the step; return the verdict and the frame that decided, if there is one."""
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
                return self._owner(frame), frame
            if code.co_name == "__del__":
                return Verdict.FINALIZER, frame
            refused = _REFUSED.get(whose(frame))
            if refused is not None and (refused in _ALWAYS or not self._any_code):
                return refused, frame
            frame = frame.f_back
        return Verdict.NO_OWNER, None

    def _owner(self, frame: FrameType) -> Verdict:
        if frame.f_code in GO_FRAMES:
            return Verdict.SAFE
        whose = self.ownership.whose(frame)
        if whose is Whose.DENIED:
            return Verdict.DENIED
        return Verdict.SAFE if self._any_code or whose is Whose.USER else Verdict.OWNER
