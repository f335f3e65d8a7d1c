"""wait: await from a plain function. The carrier is parked, not the thread.

Problem. A plain function that was called by a task cannot await. Threads block, and cost a thread.

What we do. The G stands where it is: its carrier stays behind with the whole stack, exactly as when it is preempted,
and the loop goes on with another. What is awaited is driven here, in the G's own context and as part of its own
task, by the protocol that asyncio.Task itself follows: send, get a future, stand until it is done, send again. So
`asyncio.current_task()`, timeouts and context variables inside mean what they mean after an `await`.

What does not work. A helper task for the coroutine: it would run in another context and another task, and a timeout
inside it would cancel the helper.

Cancellation: `Task.cancel` finds the future in `waiting_on` and cancels it.

Context: inside a G's step, on its carrier.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Generator
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from preemptio._core._current import current_processor
from preemptio._core._gstatus import LEAKED, RUNNING, WAITING
from preemptio._errors import NotAGError
from preemptio._preempt._restart import stands_in

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._parked import Parked
    from preemptio._core._processor import Processor

T = TypeVar("T")


def wait(awaitable: Awaitable[T]) -> T:
    """Wait for an awaitable from a plain function, blocking only the task that runs it.

    Args:
        awaitable: a coroutine, task, future, or any object with `__await__`.

    Returns:
        What `await` would give; raises what it would raise.

    Raises:
        NotAGError: the caller is not inside a task of a preemptio loop. A coroutine that was passed is closed.
        TypeError: the argument cannot be awaited.
        RuntimeError: the caller is inside a `@preemptio.restartable` function. Here, too, a coroutine is closed.
        asyncio.CancelledError: the task was cancelled meanwhile.

    Example:
        >>> import asyncio, preemptio
        >>> def fetch():
        ...     preemptio.wait(asyncio.sleep(0))
        ...     return "done"
        >>> async def main():
        ...     return await preemptio.go(fetch)
        >>> preemptio.run(main())
        'done'
    """
    p = current_processor()
    g = None if p is None else p.curg
    if p is None or g is None or g.status is not RUNNING:
        if asyncio.iscoroutine(awaitable):
            awaitable.close()
        msg = (
            "wait() works inside a task of a preemptio loop only: start the function with preemptio.go(fn), "
            "or use `await` in a coroutine"
        )
        raise NotAGError(msg)
    section = g._extra.restartable
    if section is not None and stands_in(sys._getframe(1)):
        if asyncio.iscoroutine(awaitable):
            awaitable.close()
        msg = (
            f"wait() inside the restartable function {section.name}(): others run meanwhile, and it would be begun "
            "again for ever. Wait before or behind it, or use @preemptio.nopreempt('why') instead"
        )
        raise RuntimeError(msg)
    return cast("T", _drive(p, g, _steps(awaitable)))


def _steps(awaitable: Any) -> Generator[Any, Any, Any]:
    """Return what `await` would iterate."""
    if inspect.iscoroutine(awaitable):
        return cast("Generator[Any, Any, Any]", awaitable)
    iterate = getattr(awaitable, "__await__", None)
    if iterate is None:
        if inspect.isgenerator(awaitable) and awaitable.gi_code.co_flags & inspect.CO_ITERABLE_COROUTINE:
            return awaitable
        msg = f"wait() takes an awaitable, such as a coroutine or a task, not {awaitable!r}"
        raise TypeError(msg)
    return cast("Generator[Any, Any, Any]", iterate())


def _drive(p: Processor, g: G, steps: Generator[Any, Any, Any]) -> Any:
    """Run an awaitable to its end as part of the G's own step: asyncio.Task's protocol."""
    error: BaseException | None = None
    while True:
        try:
            if error is None:
                yielded = steps.send(None)
            else:
                raised, error = error, None
                yielded = steps.throw(raised)
        except StopIteration as stop:
            return stop.value
        try:
            _stand_until(p, g, yielded)
        except BaseException as exc:  # cancelled, or a wrong yield: the awaitable gets it, as from a task
            error = exc


def _stand_until(p: Processor, g: G, yielded: Any) -> None:
    """Leave the carrier until what was yielded is done. Raises what must be thrown into the awaitable."""
    extra = g.extra()
    task: Any = asyncio.current_task()
    if not getattr(task, "_must_cancel", False):
        extra.mark_seen = False
    elif not extra.mark_seen:  # cancelled while it was preempted: this is its next await
        extra.mark_seen = True
        raise asyncio.CancelledError
    if yielded is None:
        record = p.goyield(g)
        extra.waiting_on = _YIELD
        try:
            p.stand(record)
        finally:
            extra.waiting_on = None
        return
    if not getattr(yielded, "_asyncio_future_blocking", False):
        msg = f"wait() got {yielded!r} from an awaitable; asyncio awaitables yield futures"
        raise RuntimeError(msg)
    loop: Any = asyncio.get_running_loop()
    if yielded.get_loop() is not loop:
        msg = f"wait() got the future {yielded!r} attached to a different loop"
        raise RuntimeError(msg)
    if yielded is task:
        msg = f"wait(): the task {task!r} cannot wait for itself"
        raise RuntimeError(msg)
    yielded._asyncio_future_blocking = False
    record = p.park(g)
    extra.waiting_on = yielded
    yielded.add_done_callback(Unpark(p, record), context=loop._empty)
    try:
        p.stand(record)
    finally:
        extra.waiting_on = None


class _Yield:
    """What a G waits for that only lets the others have their turn: nothing that could be cancelled."""

    def cancel(self, _msg: object = None) -> bool:
        """Leave the cancellation to be raised where the G stands."""
        return False


_YIELD: Final = _Yield()


class Unpark:
    """The done callback of the future that a G stands for."""

    __slots__ = ("_p", "record")

    def __init__(self, p: Processor, record: Parked) -> None:
        """Wake the G of this record, once."""
        self._p = p
        self.record = record

    def __call__(self, _future: object) -> None:
        """Make the G ready again, unless its loop was closed meanwhile."""
        if self.record.killed:
            return
        if self.record.g.status.base in (WAITING, LEAKED):
            self._p.unpark(self.record)
        else:  # preemptio.blocking: SYSCALL, unless something else woke it first
            self._p.exitsyscall(self.record)
