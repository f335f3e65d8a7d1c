"""greenback: a task with a portal runs in a greenlet of greenback's, so it is never broken, and not preempted either.

`with_portal_run_sync` puts only one function into such a greenlet, and `preemptio.wait` needs none.
"""

import asyncio
import contextvars

import greenback
import pytest

import preemptio
from preemptio.lowlevel import Verdict
from tests.behaviour._support import preempted
from tests.neighbours._bank import Hogs, until_preempted, until_refused

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]

NAME = contextvars.ContextVar("NAME")


def plain(n):
    """Await from a plain function; return what it saw."""
    got = [greenback.await_(asyncio.sleep(0.0001 * (n % 3), i)) for i in range(4)]
    with pytest.raises(ValueError, match="told"):
        greenback.await_(fails())
    return got, NAME.get(), asyncio.current_task().get_name()


async def fails():
    await asyncio.sleep(0)
    raise ValueError("told")


async def test_portals_outlive_their_carriers():
    """Thirty tasks with portals, preempted before they get them, beside twenty hogs: each comes back to itself."""

    async def client(n):
        NAME.set(n)
        until_preempted(asyncio.current_task())
        await greenback.ensure_portal()
        first = plain(n)
        await asyncio.sleep(0)
        assert plain(n) == first
        return first

    async with Hogs(20):
        tasks = [asyncio.create_task(client(n), name=str(n)) for n in range(30)]
        results = await asyncio.gather(*tasks)
    assert results == [([0, 1, 2, 3], n, str(n)) for n in range(30)]


@pytest.mark.uninjected("that a tick is refused there: it may be stopped everywhere else")
async def test_a_task_with_a_portal_is_not_preempted():
    """The CPU is not taken from it, nor from what it awaits by the portal; explain() says so, and the counts do."""

    async def client():
        await greenback.ensure_portal()
        return [inside(), greenback.await_(awaited())]

    def inside():
        return until_refused(Verdict.NO_OWNER), preemptio.explain().verdict

    async def awaited():
        return inside()

    async with Hogs():
        task = asyncio.create_task(client())
        assert await task == [(0, Verdict.NO_OWNER)] * 2
    assert not preempted(task)


async def test_it_cannot_give_way_in_a_portal():
    """checkpoint() does nothing there, and wait() is refused: await_ is what waits there."""

    async def client():
        await greenback.ensure_portal()
        preemptio.charge(1000)
        preemptio.checkpoint()
        with pytest.raises(RuntimeError, match="its task can"):
            preemptio.wait(asyncio.sleep(0))
        return greenback.await_(asyncio.sleep(0, "waited"))

    assert await asyncio.create_task(client()) == "waited"


async def test_a_portal_for_one_function():
    """Before and behind `with_portal_run_sync` the task is preempted as ever."""

    async def client(n):
        NAME.set(n)
        until_preempted(asyncio.current_task())
        result = await greenback.with_portal_run_sync(plain, n)
        until_preempted(asyncio.current_task())
        return result

    async with Hogs(3):
        results = await asyncio.gather(*[asyncio.create_task(client(n), name=str(n)) for n in range(8)])
    assert results == [([0, 1, 2, 3], n, str(n)) for n in range(8)]


@pytest.mark.parametrize("limit", [asyncio.timeout, preemptio.timeout])
async def test_cancellation_and_deadlines(limit):
    """They arrive in await_, and the `finally` there may await."""
    seen = []

    def waits():
        try:
            greenback.await_(asyncio.Event().wait())
        finally:
            seen.append(greenback.await_(asyncio.sleep(0, "cleaned up")))

    async def client():
        await greenback.ensure_portal()
        with pytest.raises(TimeoutError):
            async with limit(0.001):
                waits()
        started.set()
        waits()

    async with Hogs():
        started = asyncio.Event()
        task = asyncio.create_task(client())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert seen == ["cleaned up"] * 2
