"""Exceptions of preempted tasks, and of callbacks beside them."""

import asyncio
import gc
import traceback

import pytest

import preemptio
from tests.behaviour._support import Flag, parked, spin, turns

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


@pytest.fixture
def told():
    """What the exception handler was told."""
    return []


def listen(told):
    asyncio.get_running_loop().set_exception_handler(lambda _, about: told.append(about))


async def test_the_traceback_is_the_users():
    """What a preempted task raises shows the user's frames, in order, down to the line."""
    flag = Flag()

    def inner():
        spin(flag)
        raise KeyError("boom")

    def outer():
        inner()

    task = preemptio.go(outer)
    await parked(task)
    flag.stop = True
    with pytest.raises(KeyError) as caught:
        await task
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-2:] == ["outer", "inner"]


async def test_never_retrieved(told):
    """An exception that nobody asks for is reported as asyncio reports it."""
    listen(told)
    flag = Flag()

    def fails():
        spin(flag)
        raise KeyError("boom")

    task = preemptio.go(fails)
    await parked(task)
    flag.stop = True
    await asyncio.wait([task])
    del task
    gc.collect()
    assert [about["message"] for about in told] == ["Task exception was never retrieved"]


async def test_a_callback_that_fails(told):
    """A failing callback is reported and nobody else is harmed, tasks that compute included."""
    listen(told)
    flag = Flag()
    task = preemptio.go(spin, flag)
    await parked(task)
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await turns(3)
    assert task.g.parked
    flag.stop = True
    assert await task
    assert [type(about["exception"]) for about in told] == [ZeroDivisionError]


async def test_a_failing_done_callback(told):
    """A done callback of a preempted task that fails is reported; the task's result stays."""
    listen(told)
    flag = Flag()
    task = preemptio.go(spin, flag)
    task.add_done_callback(lambda _: 1 / 0)
    await parked(task)
    flag.stop = True
    assert await task
    await turns(2)
    assert [type(about["exception"]) for about in told] == [ZeroDivisionError]


async def test_a_handler_that_fails(told):
    """An exception handler that fails itself does not end the loop."""

    def handler(_loop, about):
        told.append(about)
        raise KeyError("the handler's own")

    asyncio.get_running_loop().set_exception_handler(handler)
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await turns(3)
    assert told
    asyncio.get_running_loop().set_exception_handler(None)


async def test_a_step_that_raises_runtime_error(told):
    """RuntimeError of a task's own is the task's, also when another one is parked in a context of its own."""
    listen(told)
    flag = Flag()
    hog = preemptio.go(spin, flag)
    await parked(hog)

    async def fails():
        raise RuntimeError("cannot enter context: mine")

    with pytest.raises(RuntimeError, match="mine"):
        await asyncio.create_task(fails())
    flag.stop = True
    await hog
    assert not told
