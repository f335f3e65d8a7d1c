"""Accounts: the CPU time of what belongs together, and what happens when it is more than was allowed.

Problem. A limit on the CPU of a request must count the tasks that the request starts, and must count all of it. The
ticks' samples are right on the average and wrong for one request of a few milliseconds.

What does not work. To read the thread's CPU clock at both ends of every step: it costs half a step.

What we do. A G may have accounts; only its steps are metered. It is `aside`, as one that has a probe, so its steps go
by the way of the few and get a wrapper around their context, which reads the clock at both ends. What happens in the
middle - preemption, ticks - charges the G in any case, and `Processor.charge` passes it on to the accounts. The step in
which a G gets its first account has no wrapper: the hub charges its end (`p.unmetered`). A task that a G starts
inherits its accounts, and its `nice`: a request cannot get rid of either by starting tasks.

A mark is an amount of CPU time at which something is to be done. It is told from the loop, not where it is met, which
may be the tick handler.

Invariants. `INHERIT` is not empty from the first time that anybody has something to hand on; before that a new task
costs one test.

Context: the loop's thread; `add` also in the tick handler.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._parked import Step
    from preemptio._core._processor import Processor

INHERIT: Final[list[bool]] = []
"""Not empty once some G has had a `nice` or an account; then a new G asks its creator."""


class Account:
    """The CPU time of some Gs together, in seconds, and marks in it."""

    __slots__ = ("_marks", "_reached", "cpu_time")

    def __init__(self, reached: Callable[[str], object], marks: Iterable[tuple[float, str]] = ()) -> None:
        """Start at nothing; `reached` is called, from the loop, with what is to be done at each mark that was met."""
        self.cpu_time = 0.0
        self._marks = sorted(marks, key=lambda mark: mark[0], reverse=True)
        self._reached = reached

    def add(self, p: Processor, used: float) -> None:
        """Count; have a mark that is met told."""
        self.cpu_time += used
        while self._marks and self.cpu_time >= self._marks[-1][0]:
            p.host.post(self._reached, self._marks.pop()[1])


def open_account(p: Processor, g: G, account: Account) -> None:
    """Count the CPU time of `g`, and of what it will start, from now on. In a step of `g`, or before its first."""
    INHERIT[:] = [True]
    extra = g.extra()
    if p.curg is g:
        p.charge(g)  # what it used before is not the account's
        p.unmetered, p.attention = g, True
    extra.accounts = (*extra.accounts, account)
    extra.settle_aside()


def close_account(p: Processor, g: G, account: Account) -> None:
    """Count no more of `g`. What it has started goes on being counted."""
    if p.curg is g:
        p.charge(g)
    extra = g.extra()
    extra.accounts = tuple(each for each in extra.accounts if each is not account)
    extra.settle_aside()


def inherit(g: G, creator: G) -> None:
    """Hand on to a new G what its creator has."""
    theirs = creator._extra
    if theirs.nice or theirs.accounts:
        extra = g.extra()
        extra.nice, extra.accounts = theirs.nice, theirs.accounts
        extra.settle_aside()


def metered(p: Processor, step: Step) -> Step:
    """Return the step so that all of its CPU time is charged. One that was kept back may be so already."""
    g, callback, args, context = step
    return step if type(context) is _Metered else (g, callback, args, _Metered(p, g, context))


class _Metered:
    """Stands for the context of a step, and reads the clock when it is entered and left."""

    __slots__ = ("_context", "_g", "_p", "entered")

    def __init__(self, p: Processor, g: G, context: Any) -> None:
        self._p = p
        self._g = g
        self._context = context
        self.entered = getattr(context, "entered", context)  # as `entered_context` of _parked.py asks for it

    def run(self, callback: Callable[..., object], *args: object) -> None:
        p = self._p
        p.cpu_mark = time.thread_time()
        try:
            self._context.run(callback, *args)
        finally:
            p.charge(self._g)
            del self, callback, args  # the traceback of an exception that the task keeps may keep this frame
