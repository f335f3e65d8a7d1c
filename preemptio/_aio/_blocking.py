"""blocking: a blocking call made the right way, in a worker thread, with its G in SYSCALL.

Problem. What waits in the operating system stops the loop; the rescue (`_rescue.py`) limits the damage, and works for
the calls that it knows. A thread is right for all of them. But a task that awaits a thread looks like any that waits,
although nothing in this loop can complete what it waits for.

What we do. The caller awaits a future of our own class. A task parks by calling its future's `add_done_callback`, as
the last thing that a step does; so that is where this G is moved to SYSCALL, and the end of its step finds it there. No
step looks for it, and none pays for it. The future is set by what the worker posts to the loop; its wake-up makes the G
RUNNABLE by `ready`, as any wake-up does. A G that stands in `preemptio.wait` goes the same way, and is woken by its
record.

What does not work. Changing the status before the await: on the way out to the task the future passes through whatever
drives the coroutine, and that may run on, await something else, or end the task.

What came of the call is not set on the future but raised or returned here, in the caller's own step. So StopIteration,
which no future takes, becomes a RuntimeError as in any coroutine, SystemExit and KeyboardInterrupt end the program as
if the task had raised them itself, and an error that nobody waits for any more is no unretrieved exception.

Cancellation. A thread cannot be cancelled, and a caller that waited for it all the same could not be timed out. So the
caller gets CancelledError at once, as with asyncio.to_thread; a call that has no thread yet is not made; one that runs,
runs to its end, and what comes of it is dropped.

Other loops. On a loop without the runtime this is asyncio.to_thread, executor and shutdown included: there is no G
whose status could be told, and a library that calls `blocking` need not ask whose loop it is on.

Context: inside a task. `add_done_callback` at the end of the G's step, on its carrier.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from preemptio._aio._runtime import RuntimeLoop
from preemptio._aio._steps import adopt
from preemptio._aio._wait import Unpark
from preemptio._aio._workers import Job
from preemptio._core._gstatus import RUNNING, SYSCALL, WAITING, cas_gstatus

if TYPE_CHECKING:
    from preemptio._core._g import G

P = ParamSpec("P")
T = TypeVar("T")


async def blocking(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that blocks, in a worker thread: `await preemptio.blocking(time.sleep, 1)`.

    In a plain function that a task runs: `preemptio.wait(preemptio.blocking(time.sleep, 1))`.

    Args:
        fn: a plain function. It runs in a thread, beside the tasks: what it shares with them needs a lock.
        *args: its arguments.
        **kwargs: its keyword arguments.

    Returns:
        What `fn` returns. Raises what it raises; StopIteration becomes RuntimeError, as in every coroutine.

    Raises:
        TypeError: `fn` cannot be called, or is a coroutine function.
        RuntimeError: the system has no thread to give.
        asyncio.CancelledError: the task was cancelled meanwhile. The function runs on, and what it returns or raises is
            dropped: give it a timeout of its own. If it had no thread yet, it is not called.

    Context: in a task. The function sees a copy of the caller's context variables. Of one loop's calls as many have a
    thread as the knob `threads` says; the others wait, in order. When the loop is shut down, calls that still run have
    the knob `grace` to end. On a loop without preemptio it is asyncio.to_thread.

    Source: proc.go, entersyscallblock and exitsyscall.

    Example:
        >>> import preemptio, time
        >>> async def main():
        ...     await preemptio.blocking(time.sleep, 0.001)
        ...     return await preemptio.blocking(sorted, [3, 1, 2], reverse=True)
        >>> preemptio.run(main())
        [3, 2, 1]
    """
    _check(fn)
    loop = asyncio.get_running_loop()
    if not isinstance(loop, RuntimeLoop):
        return await asyncio.to_thread(fn, *args, **kwargs)
    ended = Ended(loop=cast("asyncio.AbstractEventLoop", loop))
    job = Job(_name(fn), partial(copy_context().run, fn, *args, **kwargs), ended.tell)
    loop._workers.start(job)
    try:
        await ended
    finally:
        loop._workers.drop(job)
    try:
        if job.error is not None:
            raise job.error
        return cast("T", job.result)
    finally:
        del job  # the error's traceback has this frame: they would keep each other alive


def _check(fn: object) -> None:
    if asyncio.iscoroutine(fn):
        fn.close()
    if not callable(fn):
        msg = f"blocking() takes a function and its arguments, not {fn!r}: await preemptio.blocking(time.sleep, 1)"
        raise TypeError(msg)
    if inspect.iscoroutinefunction(fn):
        msg = f"blocking() takes a plain function, not the coroutine function {_name(fn)}: await {_name(fn)}(...)"
        raise TypeError(msg)


def _name(fn: object) -> str:
    try:
        return f"{fn.__module__}.{fn.__qualname__}"  # type: ignore[attr-defined]
    except AttributeError:
        return repr(fn)


class Ended(asyncio.Future[None]):
    """What the caller awaits: that its call has ended. Whoever waits for it is in SYSCALL."""

    __slots__ = ()

    def add_done_callback(self, fn: Callable[..., object], /, *, context: Context | None = None) -> None:
        """Have a G woken at the end of the call, and move it to SYSCALL until then."""
        g = _woken_by(fn)
        if g is not None:
            _entersyscall(g)
        super().add_done_callback(fn, context=context)

    def tell(self) -> None:
        """Wake who waits, unless it was cancelled."""
        if not self.done():
            self.set_result(None)


def _woken_by(callback: object) -> G | None:
    """Return the G whose wake-up a done callback is."""
    if isinstance(callback, Unpark):
        return callback.record.g
    task = getattr(callback, "__self__", None)
    return adopt(task) if isinstance(task, asyncio.Task) else None


def _entersyscall(g: G) -> None:
    """RUNNING -> SYSCALL at the end of a step, by the G itself; `ready` or its record's `unpark` leads back."""
    if g.status is WAITING:  # pretended: in the first part of an eager task, or already off its carrier in wait()
        cas_gstatus(g, WAITING, RUNNING)
    if g.status is RUNNING:
        cas_gstatus(g, RUNNING, SYSCALL)
