"""Asking the loop, from the monitor's thread, without waiting for ever.

Problem. Some things must be done in the loop's thread: to give a G another weight, to hold one and read its variables,
to walk the heap. A loop that somebody looks at is likely not to turn.

What does not work. `asyncio.run_coroutine_threadsafe(...)` and waiting: it hangs with the loop, and the console with
it. Giving up after a time: the call runs later all the same, when nobody expects it any more.

What we do. A call is posted; if it has not begun within a time it is withdrawn, so that it never runs, and the answer
is who has the loop, where, and by which rule the CPU is not taken from it. One that has begun is waited for: it is
short. What takes long is a task, which has a time of its own, and is cancelled after it.

Invariants. `Unable` is for people: what is wrong, and what to type next. Whatever is withdrawn has no effect.

Context: coroutines of the monitor's loop, unless said otherwise.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from preemptio._aio._explain import explain
from preemptio._aio._go import go
from preemptio._observe._monitor._rows import seconds
from preemptio._observe._text import quoted
from preemptio._preempt._explain import place

if TYPE_CHECKING:
    from preemptio._core._g import G

T = TypeVar("T")

TURN: Final = 1.0
"""Seconds within which a loop must begin with what it is asked for."""

BUSY: Final = 0.1
"""Seconds without a turn after which it is said who has the CPU."""

MEANWHILE: Final = "What answers all the same: gs, g, gstack, gtop, gwhy, gwaits, gdump."


class Unable(Exception):  # noqa: N818 - not a bug: what was asked for cannot be done
    """What is wrong, and what to type next."""


class Busy(NamedTuple):
    """Who has the CPU, and since when the loop has not turned."""

    g: G
    seconds: float

    def __str__(self) -> str:
        """Say it in a line."""
        return f"G {self.g.id} {quoted(self.g.name)} has the CPU; the loop has not turned for {seconds(self.seconds)}"


def busy(loop: Any) -> Busy | None:
    """Return who keeps a loop from turning, if that is a G, and takes longer than `BUSY`. Any thread."""
    p = loop._p
    g, now = p.curg, time.monotonic()
    stuck_for = now - max(p.now, p.resumed_at)
    return Busy(g, stuck_for) if g is not None and stuck_for > BUSY else None


def stuck(loop: Any, waited: float) -> str:
    """Say that a loop does not turn, who has it, and by which rule the CPU is not taken from it. Any thread."""
    head = f"the loop did not turn within {seconds(waited)}"
    g = loop._p.curg
    if g is not None:
        who = busy(loop) or f"G {g.id} {quoted(g.name)} has the CPU"
        return f"{head}: {who}\n{explain(g=g)}\n{MEANWHILE}"
    frame = sys._current_frames().get(loop._thread)
    where = f": no task has the CPU, but a callback, at {place(frame)}" if frame is not None else ""
    return f"{head}{where}\n{MEANWHILE}"


async def in_loop(loop: Any, fn: Callable[[], T], timeout: float = TURN) -> T:  # noqa: ASYNC109 - it withdraws
    """Call `fn` in the loop's thread, between two steps, and return what it returns.

    Raises:
        Unable: the loop does not run, or did not turn in time; then `fn` was not called and will not be.
    """
    _must_run(loop)
    told: concurrent.futures.Future[T] = concurrent.futures.Future()

    def call() -> None:
        if told.set_running_or_notify_cancel():
            _tell(told, fn)

    loop.post(call)
    answer = asyncio.wrap_future(told)
    try:
        await asyncio.wait({answer}, timeout=timeout)
    finally:
        withdrawn = told.cancel()
    if withdrawn:
        _must_run(loop)
        raise Unable(stuck(loop, timeout))
    return await answer


async def task_in_loop(loop: Any, make: Callable[[], Coroutine[Any, Any, T]], timeout: float) -> T:  # noqa: ASYNC109
    """Run a coroutine as a task of the loop, for so many seconds at most, and return what it returns.

    Raises:
        Unable: the loop does not run or turn, or the time was not enough; then the task is cancelled.
    """
    told: concurrent.futures.Future[T] = concurrent.futures.Future()

    def ended(task: asyncio.Task[T]) -> None:
        if task.cancelled():
            told.set_exception(Unable("the loop has ended it, or somebody has cancelled it; type the command again"))
        else:
            _tell(told, task.result)

    def begin() -> asyncio.Task[T]:
        told.set_running_or_notify_cancel()
        task = go(make(), name="preemptio.monitor")
        task.add_done_callback(ended)
        return task

    task = await in_loop(loop, begin, min(timeout, TURN))
    answer = asyncio.wrap_future(told)
    try:
        await asyncio.wait({answer}, timeout=timeout)
    finally:
        if not task.done():
            loop.post(task.cancel)
    if not answer.done():
        answer.cancel()
        try:
            await in_loop(loop, int, BUSY)  # does it turn at all?
        except Unable as why:
            raise Unable(f"it was not done within {seconds(timeout)}, and {why}") from None
        msg = f"it was not done within {seconds(timeout)}, and was ended; type it with a longer --timeout"
        raise Unable(msg)
    return answer.result()


async def in_thread(fn: Callable[[], T]) -> T:
    """Call something that blocks in a thread of its own, which does not keep the process alive."""
    told: concurrent.futures.Future[T] = concurrent.futures.Future()
    told.set_running_or_notify_cancel()
    threading.Thread(target=_tell, args=(told, fn), name="preemptio-monitor-call", daemon=True).start()
    return await asyncio.shield(asyncio.wrap_future(told))


def _tell(told: concurrent.futures.Future[T], fn: Callable[[], T]) -> None:
    try:
        result = fn()
    except BaseException as exc:
        told.set_exception(exc)
    else:
        told.set_result(result)


def _must_run(loop: Any) -> None:
    if loop.is_closed():
        raise Unable("the loop is closed: its tasks are over; start the monitor with the loop that runs now")
    if loop._running_since is None:
        raise Unable("the loop does not run now, so nothing can be done in it; type the command again when it does")
