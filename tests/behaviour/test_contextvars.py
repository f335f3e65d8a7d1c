"""Context variables and contexts across preemption."""

import asyncio
import contextvars
import sys

import pytest

import preemptio
from tests.behaviour._support import Flag, limit, parked, rounds, spin, turns

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]

VAR = contextvars.ContextVar("VAR", default="default")


async def test_isolated():
    """Each task sees its own values however often it is preempted between setting and reading."""
    VAR.set("main")
    hogs = []

    def hog(n):
        for round_ in range(limit()):
            VAR.set((n, round_))
            for _ in range(100):
                pass
            assert VAR.get() == (n, round_)
            if flag.stop:
                return VAR.get()[0]
        raise AssertionError

    flag = Flag()
    hogs = [preemptio.go(hog, n) for n in range(4)]
    while not all(task.g.slices > 5 for task in hogs):
        await asyncio.sleep(0)
        assert VAR.get() == "main"
    flag.stop = True
    assert await asyncio.gather(*hogs) == [0, 1, 2, 3]


async def test_callbacks_run_in_their_own_context():
    """A callback that runs while a task is parked does not see that task's values."""
    flag, seen = Flag(), []

    def hog():
        VAR.set("hog")
        return spin(flag)

    task = preemptio.go(hog)
    await parked(task)
    asyncio.get_running_loop().call_soon(lambda: seen.append(VAR.get()))
    await turns(2)
    assert task.g.parked
    flag.stop = True
    await task
    assert seen == ["default"]


async def test_reset_tokens_survive():
    """A token made before a preemption resets after it."""
    flag = Flag()

    def hog():
        token = VAR.set("inner")
        spin(flag)
        VAR.reset(token)
        return VAR.get()

    task = preemptio.go(hog)
    await parked(task)
    flag.stop = True
    assert await task == "default"


@pytest.fixture
def problems():
    """What the loop's exception handler was told: must be nothing."""
    told = []
    yield told
    assert not told


def share(problems):
    """Return what a test about one shared context needs: the context, a flag, and a list of what happened."""
    asyncio.get_running_loop().set_exception_handler(lambda _, about: problems.append(about))
    return contextvars.copy_context(), Flag(), []


async def test_tasks_that_share_a_context(problems):
    """A second task in a context that a parked step has entered waits until that step ends."""
    context, flag, seen = share(problems)

    def first():
        VAR.set("first")
        spin(flag)
        seen.append(("first", VAR.get()))

    def second():
        seen.append(("second", VAR.get()))

    one = preemptio.go(first, context=context)
    await parked(one)
    two = preemptio.go(second, context=context)
    three = preemptio.go(second, context=context)
    await turns(20)
    assert not seen
    flag.stop = True
    await asyncio.gather(one, two, three)
    assert seen == [("first", "first"), ("second", "first"), ("second", "first")]


async def test_the_wait_ends_with_the_step_not_with_the_task(problems):
    """The second task gets in when the first awaits, though the first is not done."""
    context, flag, seen = share(problems)
    event = asyncio.Event()

    async def first():
        spin(flag)
        await event.wait()
        seen.append("first")

    def second():
        seen.append("second")
        event.set()

    one = preemptio.go(first, context=context)
    await parked(one)
    two = preemptio.go(second, context=context)
    flag.stop = True
    await asyncio.gather(one, two)
    assert seen == ["second", "first"]


async def test_two_that_compute_in_one_context(problems):
    """Two tasks that compute in one context take turns step by step, and both end."""
    context, _, _ = share(problems)

    async def hog():
        done = 0
        for _ in range(3):
            for _ in range(rounds(150_000)):
                done += 1
            await asyncio.sleep(0)
        return done

    tasks = [preemptio.go(hog, context=context) for _ in range(2)]
    assert await asyncio.gather(*tasks) == [3 * rounds(150_000)] * 2
    assert any(task.g.preemptions for task in tasks)


def by_call_soon(loop, callback, context):
    loop.call_soon(callback, context=context)


def by_call_later(loop, callback, context):
    loop.call_later(0, callback, context=context)


def by_call_soon_threadsafe(loop, callback, context):
    loop.call_soon_threadsafe(callback, context=context)


def by_future(loop, callback, context):
    future = loop.create_future()
    future.add_done_callback(lambda _: callback(), context=context)
    future.set_result(None)


WAYS = [by_call_soon, by_call_later, by_call_soon_threadsafe, by_future]


@pytest.mark.parametrize("way", WAYS)
async def test_a_callback_in_a_shared_context(problems, way):
    """A callback in a context that a parked step has entered runs when that step ends."""
    context, flag, seen = share(problems)

    def first():
        spin(flag)
        seen.append("first")

    one = preemptio.go(first, context=context)
    await parked(one)
    with flag:
        way(asyncio.get_running_loop(), lambda: seen.append("callback"), context)
        await asyncio.sleep(0.002)
        await turns(5)
        assert not seen
    await one
    await turns(5)
    assert seen == ["first", "callback"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Task.get_context is new in 3.12")
@pytest.mark.parametrize("way", WAYS)
async def test_a_callback_in_the_context_of_another_task(problems, way):
    """The same where the context was the task's own, made by asyncio, and somebody else got hold of it."""
    _, flag, seen = share(problems)

    def first():
        spin(flag)
        seen.append("first")

    one = preemptio.go(first)
    await parked(one)
    with flag:
        way(asyncio.get_running_loop(), lambda: seen.append("callback"), one.get_context())
        await asyncio.sleep(0.002)
        await turns(5)
        assert not seen
    await one
    await turns(5)
    assert seen == ["first", "callback"]
