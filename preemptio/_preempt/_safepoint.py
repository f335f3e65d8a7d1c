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
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Final

from preemptio._core._gstatus import RUNNING
from preemptio._core._reasons import Verdict
from preemptio._core._step import run_step
from preemptio._preempt._cframes import Claims, called_aside
from preemptio._preempt._codes import Codes
from preemptio._preempt._gcfence import FENCE
from preemptio._preempt._held import holds
from preemptio._preempt._opcodes import ASK, CALLS_NOTHING, SAFE, at_safe_opcode
from preemptio._preempt._tracers import debugger_present
from preemptio._preempt._whose import Ownership

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._preempt._policy import SafePointPolicy

RUN_STEP: Final = run_step.__code__
"""Where the step's frames end."""

POLICIES: Final = 64
"""Policies of tasks that are remembered in their looked-up form; more are looked up again."""


class SafePoints:
    """The rules, with the configuration that they depend on."""

    def __init__(self, *, policy: str, allow: tuple[str, ...], deny: tuple[str, ...] = (), async_off: bool) -> None:
        """Take the knobs: whose code may be preempted, and whether asynchronous preemption is off altogether."""
        self.ownership = Ownership(allow, deny)
        self.claims = Claims()
        self._codes = Codes(self.ownership, any_code=policy == "any")
        self._loops = self  # the rules for tasks without a policy
        self._of: dict[SafePointPolicy, SafePoints] = {}
        self._last_resort: SafePoints | None = None  # the rules for what is overdue, once something was
        self._any_code = policy == "any"
        self._async_off = async_off

    def of(self, g: G) -> SafePoints:
        """Return the rules for `g`: with its own policy, if it has one, added to the loop's; any code's if overdue."""
        policy = g.policy
        loops = self._loops
        if g._extra.overdue:
            return loops._of_any_code()
        if policy is None:
            return loops
        found = loops._of.get(policy)
        if found is None:
            found = copy.copy(loops)
            found.ownership = loops.ownership.under(policy)
            found._codes = Codes(found.ownership, any_code=loops._any_code)
            if len(loops._of) >= POLICIES:
                loops._of.clear()
            loops._of[policy] = found
        return found

    def _of_any_code(self) -> SafePoints:
        if self._last_resort is None:
            self._last_resort = copy.copy(self)
            self._last_resort.ownership = Ownership(())
            self._last_resort._codes = Codes(self._last_resort.ownership, any_code=True)
        return self._last_resort

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
        extra = g._extra
        if g.locks and not extra.overdue:
            return Verdict.MASKED
        if FENCE.closed(peek=peek):
            return Verdict.GC
        if not elsewhere and debugger_present():
            return Verdict.TRACER
        rules = self._loops if extra.policy is None and not extra.overdue else self.of(g)
        code, lasti = frame.f_code, frame.f_lasti
        marks, _, _, _, runtime, _ = rules._codes.known.get(id(code)) or rules._codes.of(frame)
        if runtime:
            return Verdict.RUNTIME
        if not (certain or elsewhere) and self.claims.in_a_tracer():
            return Verdict.C_FRAME  # its callback; asked early: nor may it be rescued there
        if not certain and lasti >= 0 and not marks[lasti] & SAFE:
            if not marks[lasti] & ASK or not at_safe_opcode(code, lasti):
                return Verdict.OPCODE
        # what another thread's frames hold may change while we read it
        verdict = rules.walk(frame, elsewhere=elsewhere, peek=peek)[0]
        section = extra.restartable
        if section is not None and verdict is Verdict.SAFE and section.holds(frame):
            return Verdict.RESTART
        return verdict

    def walk(
        self, innermost: FrameType, *, elsewhere: bool = True, peek: bool = True
    ) -> tuple[Verdict, FrameType | None]:
        """Walk outward once, over the owner of the step to its end; return the verdict and the frame that decided.

        Whose code it is decides before what it holds, and that before what is under it. `elsewhere`: only the first.
        """
        codes = self._codes
        get = codes.known.get
        held: FrameType | None = None
        aside: FrameType | None = None
        callee: FrameType | None = None
        last: CodeType | None = None
        frame: FrameType | None = innermost
        while frame is not None:
            code = frame.f_code
            if code is not last:  # in a recursion: the same answer
                last = code
                known = get(id(code)) or codes.of(frame)
                marks, refusal, owner, may_hold, _, _ = known
                if refusal is not None:
                    return refusal, frame
            if not elsewhere:
                if may_hold and held is None and holds(frame):
                    held = frame
                if callee is not None and aside is None:
                    lasti = frame.f_lasti
                    if (lasti >= 0 and marks[lasti] & CALLS_NOTHING) or called_aside(callee):
                        aside = callee
            if owner:
                break
            callee, frame = frame, frame.f_back
        else:
            return Verdict.NO_OWNER, None
        if elsewhere:
            return Verdict.SAFE, frame
        beyond = frame.f_back
        while beyond is not None and beyond.f_code is not RUN_STEP:
            if held is None and codes.of(beyond).may_hold and holds(beyond):
                held = beyond
            beyond = beyond.f_back
        if beyond is None:
            return Verdict.NO_OWNER, None  # a coroutine that a greenlet of the task's own runs, not its step
        if held is not None:
            return Verdict.LOCK, held
        if aside is not None or self.claims.in_the_way(innermost, peek=peek):
            return Verdict.C_FRAME, aside
        return Verdict.SAFE, frame
