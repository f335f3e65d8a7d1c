"""preemptio.go: what can be started, how, and what is refused."""

import asyncio
import contextvars
import functools
import gc

import pytest

import preemptio
from tests.behaviour._support import turns

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]

VAR = contextvars.ContextVar("VAR", default=None)


def plain(*args, **kwargs):
    return args, kwargs


async def coroutine(*args, **kwargs):
    await asyncio.sleep(0)
    return args, kwargs


class Callable:
    def __call__(self, *args, **kwargs):
        return args, kwargs

    async def method(self, *args, **kwargs):
        return args, kwargs


@pytest.mark.parametrize(
    "fn",
    [plain, coroutine, Callable(), Callable().method, functools.partial(plain), functools.partial(coroutine)],
    ids=["function", "coroutine function", "object", "bound method", "partial", "partial of a coroutine function"],
)
async def test_what_is_callable(fn):
    """A function, a coroutine function and any callable get their arguments; the result is the task's."""
    assert await preemptio.go(fn) == ((), {})
    assert await preemptio.go(fn, 1, 2) == ((1, 2), {})
    assert await preemptio.go(fn, 1, key=2) == ((1,), {"key": 2})


async def test_a_coroutine():
    """A coroutine object is run as it is."""
    assert await preemptio.go(coroutine(1)) == ((1,), {})


async def test_it_is_a_task():
    """What go() returns is an asyncio task with a G, and nothing has run yet."""
    ran = []
    task = preemptio.go(ran.append, 1, name="the name")
    assert isinstance(task, asyncio.Task)
    assert isinstance(task, preemptio.Task)
    assert task in asyncio.all_tasks()
    assert task.get_name() == task.g.name == "the name"
    assert not ran
    await task
    assert ran == [1]


async def test_a_function_that_returns_a_coroutine():
    """A plain function's result is the result, also when it is an awaitable."""
    future = asyncio.get_running_loop().create_future()
    assert await preemptio.go(lambda: future) is future


async def test_the_exception():
    """What the function raises is what the await raises."""
    with pytest.raises(ZeroDivisionError):
        await preemptio.go(lambda: 1 / 0)


async def test_the_context():
    """A task runs in a copy of the current context, or in the one that is given."""
    VAR.set("mine")
    given = contextvars.Context()
    assert await preemptio.go(VAR.get) == "mine"
    await preemptio.go(VAR.set, "theirs", context=given)
    assert given[VAR] == "theirs"
    assert VAR.get() == "mine"


async def test_the_shown_name_is_the_functions():
    """A list of tasks shows the function's name, not our wrapper's."""
    task = preemptio.go(plain)
    assert "plain" in repr(task)
    await task


@pytest.mark.parametrize("nice", [-21, 20, "1"])
async def test_bad_nice(nice):
    """A nice value out of range is refused before anything is started."""
    before = len(asyncio.all_tasks())
    with pytest.raises(ValueError, match="nice"):
        preemptio.go(coroutine, nice=nice)
    assert len(asyncio.all_tasks()) == before
    gc.collect()


async def test_bad_cancel():
    """An unknown way to be cancelled is refused, and the coroutine is closed."""
    with pytest.raises(ValueError, match="safepoint"):
        preemptio.go(coroutine, cancel="now")
    gc.collect()


async def test_options_are_kept():
    """nice is shown by the G; the defaults are neither nice nor background."""
    task = preemptio.go(plain, nice=5)
    assert task.g.nice == 5
    lazy = preemptio.go(plain, background=True)
    assert lazy.g.background
    other = preemptio.go(plain)
    assert (other.g.nice, other.g.background) == (0, False)
    await asyncio.gather(task, lazy, other)


@pytest.mark.parametrize("thing", [None, 42, "text", object()])
async def test_not_callable(thing):
    """What is neither callable nor a coroutine is a TypeError."""
    with pytest.raises(TypeError, match="function"):
        preemptio.go(thing)


async def test_a_coroutine_with_arguments():
    """Arguments beside a coroutine object are a TypeError, and the coroutine is closed."""
    with pytest.raises(TypeError, match="no arguments"):
        preemptio.go(coroutine(), 1)
    with pytest.raises(TypeError, match="no arguments"):
        preemptio.go(coroutine(), key=1)
    gc.collect()


async def test_wrong_arguments_of_a_coroutine_function():
    """Arguments that the coroutine function does not take raise in the caller, as calling it would."""

    async def none():
        pass

    with pytest.raises(TypeError):
        preemptio.go(none, 1)


async def test_in_another_thread():
    """go() in a worker thread is refused; call_soon_threadsafe is the way, and it works."""
    with pytest.raises(preemptio.NotInstalledError, match="call_soon_threadsafe"):
        await asyncio.to_thread(preemptio.go, coroutine)
    gc.collect()
    ran = []
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(loop.call_soon_threadsafe, preemptio.go, ran.append, 1)
    await turns(3)
    assert ran == [1]


async def test_from_a_callback():
    """go() works in a plain callback of the loop."""
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: done.set_result(preemptio.go(plain, 1)))
    assert await (await done) == ((1,), {})
