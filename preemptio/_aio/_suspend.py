"""suspend_g and its kin: the door through which tasks and threads hold a G still.

What becomes of the G is argued in `_core/_hold.py`, who is granted what in `_preempt/_suspend.py`. Here is what the
caller has of it is a `SuspendState`, his share of the hold: see `_shares.py`. Whoever has it may give it back.

Context: `suspend_g` in a task; `suspend_g_threadsafe` in a thread that does not run the G's loop; the rest anywhere.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from preemptio._aio._runtime import RuntimeLoop
from preemptio._aio._shares import SuspendState, shares_of
from preemptio._aio._steps import adopt
from preemptio._core._current import current_g
from preemptio._core._g import G
from preemptio._errors import NotAGError, NotInstalledError
from preemptio._log import report_not_suspended
from preemptio._preempt._suspend import Request

if TYPE_CHECKING:
    from preemptio._core._hold import Hold
    from preemptio._core._reasons import Verdict


async def suspend_g(g: G | asyncio.Task[Any], timeout: float | None = None) -> SuspendState:  # noqa: ASYNC109 - it withdraws
    """Bring a G to a safe point and keep it there, until `resume_g` is called with what is returned.

    One that does not run is held at once. One that runs is stopped where it can be: see `preemptio.explain`. What wakes
    it meanwhile - a result, a timeout, a cancellation - is kept, and takes its course when it is resumed.

    Several may hold one G: it goes on when the last of them has resumed it.

    Do not await a task that you hold, nor one that waits for it: neither goes on before you let it go. If you are
    cancelled meanwhile, or it is, it is let go for you, which is reported.

    Args:
        g: a G of the running loop, or its task.
        timeout: seconds to wait for a G that cannot be stopped where it is; None waits for as long as it takes.

    Returns:
        SuspendState: the caller's share. It ends with the task that took it, if it is not given back before.

    Raises:
        NotAGError: the caller is not in a task of a preemptio loop.
        RuntimeError: the G is the caller's own.
        NotInstalledError: the G is of another loop: use suspend_g_threadsafe in a thread, or ask from there.
        TimeoutError: it could not be stopped in time. The request is withdrawn.

    Source: preempt.go, suspendG.

    Example:
        >>> import asyncio, preemptio
        >>> async def worker():
        ...     await asyncio.sleep(60)
        >>> async def main():
        ...     task = preemptio.go(worker)
        ...     await asyncio.sleep(0)
        ...     state = await preemptio.suspend_g(task)
        ...     print(state.status)
        ...     preemptio.resume_g(state)
        ...     task.cancel()
        >>> preemptio.run(main())
        waiting
    """
    g, me, loop = _g_of(g, "suspend_g"), current_g(), asyncio.get_running_loop()
    if not isinstance(loop, RuntimeLoop) or me is None:
        msg = "suspend_g() works inside a task of a preemptio loop only; a thread calls suspend_g_threadsafe()"
        raise NotAGError(msg)
    if g is me or g is loop.innermost_g():
        msg = "a task cannot suspend itself: it would wait for itself. Its own stack is traceback.extract_stack()"
        raise RuntimeError(msg)
    task = g.task
    if task is None:
        return SuspendState(g, None, None)
    if task.get_loop() is not loop:
        msg = f"{g!r} belongs to another loop: hand suspend_g_threadsafe() to a thread, as asyncio.to_thread does"
        raise NotInstalledError(msg)
    return await suspend(loop, g, me, timeout)


async def suspend(loop: RuntimeLoop, g: G, me: G, timeout: float | None) -> SuspendState:  # noqa: ASYNC109
    """Suspend a G of the running loop, for the G `me`."""
    request = Request(g, me)
    if not loop._suspends.ask(request):
        await granted(loop, request, timeout)
    state = SuspendState(g, loop, request.hold)
    if not state.dead:
        shares_of(asyncio.current_task()).states.add(state)
    return state


async def granted(loop: RuntimeLoop, request: Request, timeout: float | None) -> None:  # noqa: ASYNC109
    """Wait until a request that was kept is granted; withdraw it if the wait ends otherwise."""
    waiter: asyncio.Future[None] = loop.create_future()  # type: ignore[attr-defined]

    def tell(error: Exception | None) -> None:
        if waiter.done():
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)

    request.tell = tell
    try:
        async with asyncio.timeout(timeout):
            await waiter
    except BaseException as exc:
        if request.decide():
            loop._suspends.examine()
        else:  # granted, and cancelled before it was told
            loop._suspends.let_go(request.g, request.hold)
        if isinstance(exc, TimeoutError):
            loop.post(report_not_suspended, request.g, timeout, *_why(request.g))
            raise _too_late(request.g, timeout) from None
        raise


def _why(g: G) -> tuple[Verdict | None, str]:
    refusals = g.why_not_preempted()
    return refusals.verdict, str(refusals)


def _too_late(g: G, timeout: float | None) -> TimeoutError:
    return TimeoutError(f"{g!r} could not be stopped within {timeout} s; {g.why_not_preempted()}")


def suspend_g_threadsafe(g: G | asyncio.Task[Any], timeout: float | None = None) -> SuspendState:
    """Do what `suspend_g` does from a thread that does not run the G's loop: it blocks until the G stands.

    Args:
        g: a G, or its task.
        timeout: seconds; None waits for as long as it takes. A loop that does not run grants nothing.

    Returns:
        SuspendState: the caller's share. It does not end with the thread: use `resume_g`, from whatever thread.

    Raises:
        RuntimeError: called in the thread that runs the G's loop, which would wait for itself; or the loop is closed.
        NotInstalledError: the G's loop has no runtime.
        TimeoutError: it could not be stopped in time. The request is withdrawn.

    Source: preempt.go, suspendG.

    Example:
        >>> import asyncio, preemptio
        >>> def look(task):
        ...     state = preemptio.suspend_g_threadsafe(task)
        ...     status = state.status
        ...     preemptio.resume_g(state)
        ...     return status
        >>> async def main():
        ...     task = asyncio.create_task(asyncio.sleep(60))
        ...     await asyncio.sleep(0)
        ...     print(await preemptio.blocking(look, task))
        ...     task.cancel()
        >>> preemptio.run(main())
        waiting
    """
    g = _g_of(g, "suspend_g_threadsafe")
    task = g.task
    if task is None:
        return SuspendState(g, None, None)
    loop = task.get_loop()
    if not isinstance(loop, RuntimeLoop):
        msg = f"{g!r} is not of a preemptio loop"
        raise NotInstalledError(msg)
    if loop._thread == threading.get_ident() and loop._running_since is not None:
        msg = "suspend_g_threadsafe() would wait for the thread that it is called in: use `await suspend_g(g)` here"
        raise RuntimeError(msg)
    return SuspendState(g, loop, _granted_to_a_thread(loop, g, timeout))


def _granted_to_a_thread(loop: RuntimeLoop, g: G, timeout: float | None) -> Hold | None:
    """Post a request, and block until it is granted; withdraw it if the wait ends otherwise."""
    told: concurrent.futures.Future[None] = concurrent.futures.Future()

    def tell(error: Exception | None) -> None:
        if error is None:
            told.set_result(None)
        else:
            told.set_exception(error)

    request = Request(g, None, tell)
    loop._suspends.inbox.append(request)
    loop.post(loop._suspends.examine)
    if loop.is_closed() and request.decide():  # type: ignore[attr-defined]
        msg = "the event loop was closed"
        raise RuntimeError(msg)
    try:
        told.result(timeout)
    except BaseException as exc:
        if request.decide():
            loop.post(loop._suspends.examine)
            if isinstance(exc, TimeoutError):
                report_not_suspended(g, timeout, *_why(g))  # here: the loop may not turn for long
                raise _too_late(g, timeout) from None
        elif told.exception() is None:  # granted at this very moment
            loop.post(loop._suspends.let_go, g, request.hold)
        raise
    return request.hold


def resume_g(state: SuspendState) -> None:
    """Give a share of a suspended G back; when the last one is given back it goes on where it was.

    What had woken it meanwhile takes its course now, in the order in which it came.

    It does nothing if the share was given back for the caller: see `suspend_g`.

    Raises:
        RuntimeError: it was given back already.
        TypeError: it is not a SuspendState.

    Context: any thread.

    Source: preempt.go, resumeG. For an example see `suspend_g`.
    """
    if not isinstance(state, SuspendState):
        msg = f"resume_g() takes what suspend_g() returned, not {state!r}"
        raise TypeError(msg)
    state.give_back()


@asynccontextmanager
async def suspended(g: G | asyncio.Task[Any], timeout: float | None = None) -> AsyncIterator[SuspendState]:  # noqa: ASYNC109
    """Hold a G for the length of an `async with`: `suspend_g` and `resume_g`.

    Args:
        g: a G of the running loop, or its task.
        timeout: as of `suspend_g`.

    Raises:
        NotAGError, RuntimeError, NotInstalledError, TimeoutError: as `suspend_g`.

    Example:
        >>> import asyncio, preemptio
        >>> async def main():
        ...     task = asyncio.create_task(asyncio.sleep(60))
        ...     async with preemptio.suspended(task) as state:
        ...         print(state.status)
        ...     task.cancel()
        >>> preemptio.run(main())
        runnable
    """
    state = await suspend_g(g, timeout)
    try:
        yield state
    finally:
        if not state.over:
            resume_g(state)


def _g_of(thing: object, who: str) -> G:
    if isinstance(thing, G):
        return thing
    if isinstance(thing, asyncio.Task):
        return adopt(thing)
    msg = f"{who}() takes a G or a task, not {thing!r}: preemptio.lowlevel.all_gs() lists the Gs"
    raise TypeError(msg)
