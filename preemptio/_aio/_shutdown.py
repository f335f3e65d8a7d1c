"""The end of all tasks of a loop: ask, insist, report. For `preemptio.run`, and for whoever else ends a loop.

Problem. asyncio.run cancels what is left and waits for it. A task that computes and never awaits is never told, so
with preemption it would be given slice after slice for ever; and one that swallows CancelledError is waited for
without end. asyncio.Runner and the servers do the same, each by a function of its own.

What we do, in this order, each step bounded by the grace:
  1. cancel every task, as asyncio does, and wait for them;
  2. raise CancelledError in those that stand at a safe point, once, then each time they are met there, and wait; what
     keeps the loop from turning is stopped wherever it is (`_overdue.py`);
  3. report those that are left (code that catches everything) and close the loop, which raises GreenletExit in them.

What others do is recognised by what it is (`shuts_down`): the loop is to run until all of its tasks have ended, and
every one was cancelled. asyncio.Runner, aiohttp and others come with `gather` of them all. They look at each task
afterwards, so one that is left says that it was cancelled: that is a class of its own, `Straggler`, for a method of
Task costs every call of it. A task of somebody else's class cannot say so, and is waited for as asyncio does.

Context: the main program; no loop runs.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from preemptio._aio._awaited import GATHERING
from preemptio._aio._task import Task
from preemptio._log import report_stopped, report_stragglers

if TYPE_CHECKING:
    from preemptio._aio._runtime import RuntimeLoop


class Straggler(Task[Any]):
    """A task that outlived all attempts to end it. It still stands somewhere, and nobody owes it the CPU any more."""

    __slots__ = ()

    def cancelled(self) -> bool:
        """Return True: it was cancelled, and has not listened."""
        return True

    def __del__(self) -> None:
        """Say nothing of what has become of it: it was reported."""


def shuts_down(loop: asyncio.AbstractEventLoop, future: Any) -> set[asyncio.Task[Any]] | None:
    """Return all tasks of the loop if `future` gathers them and each was cancelled: who waits for that ends it."""
    if type(future) is not GATHERING:
        return None
    left = asyncio.all_tasks(loop)
    if not left or not left.issubset(future._children) or not all(task.cancelling() for task in left):
        return None
    return left


def see_ended(
    loop: asyncio.AbstractEventLoop, runtime: RuntimeLoop | None, asked: set[asyncio.Task[Any]], grace: float
) -> list[asyncio.Task[Any]]:
    """See that tasks end that were cancelled: wait, then insist, then report. Bounded by twice `grace`.

    `runtime` is the loop once more, if it is one of ours. Returns the tasks that did not end.
    """
    if runtime is not None:
        runtime.let_all_go()
        runtime.overdue.after(grace)
    try:
        loop.run_until_complete(_wait(asked, grace))
        left = [task for task in asked if not task.done()]
        if left and runtime is not None:
            loop.run_until_complete(_insist(runtime, left, grace))
            left = [task for task in asked if not task.done()]
    finally:
        if runtime is not None:
            runtime.overdue.after(None)
    _give_up(left)
    return left


async def _wait(tasks: set[asyncio.Task[Any]], grace: float) -> None:
    await asyncio.wait(tasks, timeout=grace)


async def _insist(loop: RuntimeLoop, tasks: list[asyncio.Task[Any]], grace: float) -> None:
    """Raise CancelledError in tasks that stand at a safe point until they are done or the time is over."""
    deadline = time.monotonic() + grace
    for task in tasks:
        g = getattr(task, "g", None)
        if g is not None:
            g.extra().cancel_at_safe_point = True
            if isinstance(task, Task) and g.parked:
                task.cancel()
    await asyncio.wait(tasks, timeout=grace / 2)  # its cleanup may compute or wait in peace
    while (left := [task for task in tasks if not task.done()]) and time.monotonic() < deadline:
        for task in left:
            if isinstance(task, Task) and task.g.parked:
                task.cancel()
        await asyncio.sleep(loop._p.slice)
    for task in tasks:
        if task.done() and hasattr(task, "g"):
            report_stopped(task.g, "shutdown")


def _give_up(tasks: list[asyncio.Task[Any]]) -> None:
    """Take what cannot be ended out of asyncio's sight: the Runner would wait for it for ever."""
    if not tasks:
        return
    report_stragglers([task.g for task in tasks if hasattr(task, "g")], "shutdown")
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # it was just reported
        asyncio.tasks._unregister_task(task)
        if type(task) is Task:
            task.__class__ = Straggler
