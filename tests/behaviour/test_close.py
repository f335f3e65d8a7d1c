"""Closing a loop that has parked tasks, and the end of preemptio.run."""

import asyncio
import gc
import logging
import weakref

import pytest
from greenlet import GreenletExit

import preemptio
from preemptio._core._carrier import Carrier
from tests.behaviour._support import Flag, limit, parked, spin

pytestmark = pytest.mark.loop


def carriers():
    gc.collect()
    return [thing for thing in gc.get_objects() if isinstance(thing, Carrier)]


@pytest.fixture(autouse=True)
def no_carrier_left(caplog):
    """Every test here must leave no carrier behind. "Task was destroyed but it is pending" is asyncio's, and right."""
    caplog.set_level(logging.CRITICAL, "asyncio")
    before = len(carriers())
    yield
    assert len(carriers()) == before


def start(loop, *functions, begun=lambda: True):
    async def begin():
        tasks = [preemptio.go(fn) for fn in functions]
        while not begun():
            await asyncio.sleep(0)
        await parked(*tasks)
        return tasks

    return loop.run_until_complete(begin())


def test_finally_blocks_run(make_loop):
    """close() raises GreenletExit where each parked task stands: its `finally` blocks run."""
    begun, ended = [], []

    def hog(n):
        try:
            begun.append(n)
            spin(Flag())
        except GreenletExit:
            ended.append(n)
            raise
        finally:
            ended.append(-n)

    loop = make_loop()
    start(loop, *(lambda n=n: hog(n) for n in (1, 2, 3)), begun=lambda: len(begun) == 3)
    assert not ended
    loop.close()
    assert sorted(ended) == [-3, -2, -1, 1, 2, 3]


def test_those_in_wait_too(make_loop):
    """close() ends a function that stands in preemptio.wait."""
    ended = []

    def waits():
        try:
            preemptio.wait(asyncio.Event().wait())
        finally:
            ended.append(True)

    loop = make_loop()
    start(loop, waits)
    loop.close()
    assert ended == [True]


def test_the_tasks_and_the_loop_are_collected(make_loop):
    """Nothing of a closed loop stays: neither the loop nor its tasks nor their Gs."""
    loop = make_loop()
    tasks = start(loop, lambda: spin(Flag()))
    refs = [weakref.ref(loop), *(weakref.ref(task) for task in tasks), *(weakref.ref(task.g) for task in tasks)]
    loop.close()
    del loop, tasks
    gc.collect()
    assert [ref() for ref in refs] == [None] * len(refs)


def test_a_loop_that_was_never_run(make_loop):
    """A loop may be closed without having run, and closed twice."""
    loop = make_loop()
    loop.close()
    loop.close()
    assert loop.is_closed()
    coro = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="closed"):
        loop.create_task(coro)
    coro.close()


def test_closing_a_running_loop_is_refused(make_loop):
    """close() of a running loop is an error, as in asyncio, and kills nobody."""
    loop, flag = make_loop(), Flag()

    async def main():
        task = preemptio.go(spin, flag)
        await parked(task)
        with pytest.raises(RuntimeError):
            loop.close()
        flag.stop = True
        return await task

    assert loop.run_until_complete(main())
    loop.close()


def test_one_that_survives_once_more(make_loop):
    """A task that catches GreenletExit and computes on is preempted no more and is left to its end."""
    survived = []

    def stubborn():
        try:
            spin(Flag())
        except GreenletExit:
            survived.append(sum(range(1000)))

    loop = make_loop()
    start(loop, stubborn)
    loop.close()
    assert survived == [499500]


def test_run_cancels_what_is_left(make_loop):
    """preemptio.run ends tasks that still compute: CancelledError at a safe point, and it returns main's value."""
    ended = []

    def forever():
        try:
            spin(Flag())
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def main():
        task = preemptio.go(forever)
        await parked(task)
        return 7

    with preemptio.config.override(grace=0.01):
        assert preemptio.run(main(), loop_factory=make_loop) == 7
    assert ended == ["cancelled"]


def test_run_gives_up_on_what_cannot_be_ended(make_loop):
    """A task that catches every cancellation is ended by the closing of the loop, and run() returns."""
    seen = []

    def stubborn():
        flag = Flag()
        for _ in range(limit()):
            try:
                spin(flag)
            except asyncio.CancelledError:
                seen.append("ignored")
            except GreenletExit:
                seen.append("exit")
                raise

    async def main():
        task = preemptio.go(stubborn)
        await parked(task)

    with preemptio.config.override(grace=0.02):
        preemptio.run(main(), loop_factory=make_loop)
    assert "ignored" in seen
    assert seen[-1] == "exit"


def test_run_refuses(make_loop):
    """run() takes a coroutine and no running loop; the coroutine of a refused call is closed."""

    async def nothing():
        pass

    with pytest.raises(TypeError, match="coroutine"):
        preemptio.run(nothing)

    async def main():
        with pytest.raises(RuntimeError, match="loop runs"):
            preemptio.run(nothing())

    preemptio.run(main(), loop_factory=make_loop)
    gc.collect()


def test_run_raises_what_main_raises(make_loop):
    """An exception of main leaves run() as it is, after the others were ended."""
    ended = []

    async def other():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def main():
        task = asyncio.create_task(other())
        await asyncio.sleep(0)
        assert not task.done()
        raise KeyError("main")

    with pytest.raises(KeyError, match="main"):
        preemptio.run(main(), loop_factory=make_loop)
    assert ended == [True]
