"""What the interpreter keeps per thread, swapped with each task: handled exceptions, current task, recursion depth."""

import asyncio
import sys

import pytest

import preemptio
from preemptio.lowlevel import current_g
from tests.behaviour._support import Flag, limit, parked, rounds, spin, turns

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


async def test_the_handled_exception_is_the_tasks_own():
    """A task preempted inside `except` finds its own exception there afterwards, and nobody else sees it."""
    flag, elsewhere = Flag(), []

    def hog(n):
        try:
            raise KeyError(n)
        except KeyError as exc:
            for _ in range(limit()):
                assert sys.exc_info()[1] is exc
                if flag.stop:
                    break
            with pytest.raises(KeyError) as caught:
                raise
            return caught.value is exc

    hogs = [preemptio.go(hog, n) for n in range(3)]
    await parked(*hogs)
    asyncio.get_running_loop().call_soon(lambda: elsewhere.append(sys.exc_info()))
    for _ in range(30):
        await asyncio.sleep(0)
        assert sys.exc_info() == (None, None, None)
    flag.stop = True
    assert await asyncio.gather(*hogs) == [True] * 3
    assert elsewhere == [(None, None, None)]


async def test_raising_elsewhere_chains_nothing():
    """An exception raised while another task is parked in an `except` block has no context from there."""
    flag = Flag()

    def hog():
        try:
            raise KeyError
        except KeyError:
            return spin(flag)

    task = preemptio.go(hog)
    await parked(task)
    try:
        raise ValueError
    except ValueError as exc:
        assert exc.__context__ is None
    flag.stop = True
    await task


async def test_current_task():
    """current_task() is the one that runs: in the observer, in the hog before and after, and nobody in a callback."""
    flag, seen = Flag(), []

    def hog():
        before = asyncio.current_task(), current_g()
        spin(flag)
        return before, (asyncio.current_task(), current_g())

    me, task = asyncio.current_task(), preemptio.go(hog)
    await parked(task)
    asyncio.get_running_loop().call_soon(lambda: seen.append((asyncio.current_task(), current_g())))
    await turns(3)
    assert asyncio.current_task() is me
    assert current_g() is me.g
    assert {me, task} <= asyncio.all_tasks()
    flag.stop = True
    assert await task == ((task, task.g), (task, task.g))
    assert seen == [(None, None)]


async def test_the_running_loop():
    """get_running_loop() answers in a task after it was preempted, and so does a module global of asyncio."""
    flag = Flag()

    def hog():
        spin(flag)
        return asyncio.get_running_loop()

    task = preemptio.go(hog)
    await parked(task)
    flag.stop = True
    assert await task is asyncio.get_running_loop()


async def test_deep_recursion():
    """Tasks preempted deep in a recursion come back through every frame of it."""
    flag = Flag()

    def down(n):
        return spin(flag) * 0 if n == 0 else down(n - 1) + 1

    tasks = [preemptio.go(down, 300) for _ in range(5)]
    await parked(*tasks)
    flag.stop = True
    assert await asyncio.gather(*tasks) == [300] * 5


async def test_generators_and_sort_keys():
    """Preemption inside a generator, a comprehension and a sort's key function leaves their results as they are."""
    flag = Flag()

    def numbers():
        for n in range(50):
            for _ in range(rounds(2000)):
                pass
            yield n

    def key(n):
        for _ in range(rounds(2000)):
            pass
        return -n

    def hog():
        rounds = 0
        while not flag.stop:
            assert list(numbers()) == list(range(50))
            assert sorted(range(50), key=key) == list(range(49, -1, -1))
            assert {n: key(n) for n in range(20)} == {n: -n for n in range(20)}
            rounds += 1
        return rounds

    tasks = [preemptio.go(hog) for _ in range(2)]
    while not all(task.g.slices > 20 for task in tasks):
        await asyncio.sleep(0.001)
    flag.stop = True
    assert all(await asyncio.gather(*tasks))
