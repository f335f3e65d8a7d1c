"""Tasks that were not made by us: other factories, other classes."""

import asyncio

import pytest

import preemptio
from preemptio.lowlevel import Gstatus, all_gs
from tests.behaviour._support import Flag, parked, preempted, spin, turns

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


async def hog(flag):
    return spin(flag)


async def check_preempted(task, flag):
    await parked(task)
    flag.stop = True
    assert await task
    assert preempted(task)
    assert task.g.status is Gstatus.DEAD


async def test_a_task_made_directly():
    """asyncio.Task(coro) is a G like any other."""
    flag = Flag()
    task = asyncio.Task(hog(flag))
    await turns(1)
    await check_preempted(task, flag)


async def test_a_subclass():
    """An instance of a user's subclass of asyncio.Task is a G, and its own methods stay."""

    class Mine(asyncio.Task):
        def cancel(self, msg=None):
            cancels.append(msg)
            return super().cancel(msg)

    flag, cancels = Flag(), []
    task = Mine(hog(flag))
    await turns(1)
    await parked(task)
    task.cancel("mine")
    flag.stop = True
    await asyncio.wait([task])
    assert task.cancelled()
    assert cancels == ["mine"]


async def test_a_custom_factory():
    """A task factory is asked for every task, its arguments are asyncio's, and what it makes is preempted."""
    made = []

    def factory(loop, coro, **kwargs):
        task = asyncio.Task(coro, loop=loop, **kwargs)
        made.append(task)
        return task

    loop, flag = asyncio.get_running_loop(), Flag()
    loop.set_task_factory(factory)
    try:
        one = loop.create_task(hog(flag), name="one")
        two = preemptio.go(spin, flag, name="two")
    finally:
        loop.set_task_factory(None)
    assert made == [one, two]
    assert (one.get_name(), two.get_name()) == ("one", "two")
    await check_preempted(one, flag)
    assert await two


async def test_a_factory_that_makes_something_else():
    """go() refuses what a factory returns that cannot be a G; create_task() hands it through."""

    class Opaque:
        __slots__ = ("coro",)

        def __init__(self, _loop, coro, **_kwargs):
            self.coro = coro
            coro.close()

        def done(self):
            return True

        def set_name(self, name):  # asyncio calls it up to 3.13
            pass

    loop, flag = asyncio.get_running_loop(), Flag()
    loop.set_task_factory(Opaque)
    try:
        assert isinstance(loop.create_task(hog(flag)), Opaque)
        with pytest.raises(preemptio.NotInstalledError, match="Opaque"):
            preemptio.go(hog, flag)
    finally:
        loop.set_task_factory(None)


async def test_tasks_written_in_python():
    """asyncio's Python task runs as it does without us: unpreempted, correct, beside tasks that are preempted."""
    flag = Flag()
    computing = preemptio.go(spin, flag)
    await parked(computing)

    async def work():
        await asyncio.sleep(0)
        total = sum(range(100_000))
        await asyncio.sleep(0.001)
        return total, asyncio.current_task()

    task = asyncio.tasks._PyTask(work(), loop=asyncio.get_running_loop())
    assert await task == (sum(range(100_000)), task)
    flag.stop = True
    assert await computing


async def test_a_python_task_waits_for_a_preempted_one():
    """A Python task may await a preempted one, and cancel it."""
    flag = Flag()
    computing = preemptio.go(spin, flag, cancel="safepoint")

    async def work():
        await parked(computing)
        computing.cancel()
        try:
            await computing
        except asyncio.CancelledError:
            return "seen"

    assert await asyncio.tasks._PyTask(work(), loop=asyncio.get_running_loop()) == "seen"


async def test_what_a_callback_may_be():
    """Other built-in methods of a task are plain callbacks when they are scheduled, whatever the task's state."""
    event = asyncio.Event()
    task = asyncio.create_task(event.wait())
    await turns(1)
    loop = asyncio.get_running_loop()
    loop.call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    loop.call_soon(task.cancel)
    loop.call_soon(task.get_name)
    await turns(2)
    assert task.g not in all_gs()
