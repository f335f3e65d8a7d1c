"""Eager tasks (3.12 and newer): their first step runs inside the step of the task that makes them."""

import asyncio
import sys

import pytest

import preemptio
from preemptio.lowlevel import Gstatus
from tests.behaviour._support import Flag, parked, spin, turns

pytestmark = [
    pytest.mark.loop,
    pytest.mark.asyncio,
    pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12"),
]


def factory(loop, coro, *, eager_start=True, **kwargs):
    """Do what asyncio.eager_task_factory does, with the arguments that uvloop passes it."""
    return asyncio.Task(coro, loop=loop, eager_start=True, **kwargs)


def eager(coro):
    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)
    try:
        return loop.create_task(coro)
    finally:
        loop.set_task_factory(None)


async def value(result):
    return result


async def test_done_in_the_first_step():
    """An eager task that never waits is done at once, and its G is dead."""
    task = eager(value(7))
    assert task.done()
    assert task.g.status is Gstatus.DEAD
    assert await task == 7


async def test_one_that_waits():
    """An eager task that waits in its first step goes on as a G of its own."""
    event = asyncio.Event()

    async def waits():
        await event.wait()
        return asyncio.current_task()

    task = eager(waits())
    assert task.g.status is Gstatus.WAITING
    event.set()
    assert await task is task
    assert task.g.status is Gstatus.DEAD


async def test_preempted_in_the_first_step():
    """Preempted in its eager step it takes its maker with it: both stand, others run, and current_task is right."""
    flag, seen = Flag(), []

    async def hog():
        before = asyncio.current_task()
        spin(flag)
        return before, asyncio.current_task()

    async def maker():
        task = eager(hog())
        seen.append(asyncio.current_task())
        return task, await task

    making = asyncio.create_task(maker())
    await parked(making)
    assert asyncio.current_task() is not making
    await turns(10)
    assert not seen
    flag.stop = True
    task, (before, after) = await making
    assert before is after is task
    assert seen == [making]


async def test_go_with_an_eager_factory():
    """go() starts eager tasks where the loop's factory makes them."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)
    try:
        task = preemptio.go(value, 1)
        assert task.done()
        nested = preemptio.go(value, preemptio.go(value, 2))
    finally:
        loop.set_task_factory(None)
    assert await task == 1
    assert await (await nested) == 2


async def test_wait_in_an_eager_step():
    """preemptio.wait() in an eager first step waits for what it was given."""
    event = asyncio.Event()

    async def waits():
        preemptio.wait(event.wait())
        return asyncio.current_task()

    async def maker():
        task = eager(waits())
        assert await task is task
        return asyncio.current_task()

    making = asyncio.create_task(maker())
    await turns(3)
    assert not making.done()
    event.set()
    assert await making is making


async def test_cancelled_after_an_eager_preemption():
    """A cancellation of the maker that arrives in its eager step is delivered at its own next await."""
    flag = Flag()

    async def hog():
        return spin(flag)

    async def maker():
        assert await eager(hog()) >= 0
        await asyncio.sleep(0)

    making = asyncio.create_task(maker())
    await parked(making)
    making.cancel()
    flag.stop = True
    with pytest.raises(asyncio.CancelledError):
        await making
