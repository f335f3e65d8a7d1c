"""preemptio.install: the runtime on a loop that is there already."""

import asyncio
import threading

import pytest
import uvloop

import preemptio
from preemptio._aio._runtime import RuntimeLoop
from tests.behaviour._support import Flag, parked, spin, turns

pytestmark = pytest.mark.loop


def install(loop):
    with preemptio.config.override(slice=0.001):
        return preemptio.install(loop)


async def hog_is_preempted():
    flag = Flag()
    task = preemptio.go(spin, flag)
    await parked(task)
    flag.stop = True
    return bool(await task)


def test_on_a_running_loop():
    """install() in a task of asyncio.run makes the loop preempt; tasks that existed are Gs from their next step."""

    async def main():
        flag = Flag()

        async def old():
            await event.wait()
            return spin(flag)

        async def oldest():
            await event.wait()
            return asyncio.current_task().g.id

        event = asyncio.Event()
        tasks = [asyncio.create_task(old()), asyncio.create_task(oldest())]
        await turns(1)
        loop = asyncio.get_running_loop()
        assert install(loop) is loop
        assert isinstance(loop, RuntimeLoop)
        event.set()
        await turns(1)
        await parked(tasks[0])
        flag.stop = True
        assert None not in await asyncio.gather(*tasks)
        return await hog_is_preempted()

    assert asyncio.run(main())


def test_in_the_step_that_computes_next():
    """The task that called install() itself is preempted after its next await."""

    async def main():
        seen = []
        install(asyncio.get_running_loop())
        await asyncio.sleep(0)
        with Flag() as flag:
            asyncio.get_running_loop().call_soon(setattr, flag, "stop", True)
            seen.append(spin(flag))
        return seen

    assert asyncio.run(main())


def test_on_a_loop_that_does_not_run():
    """install() on a loop of asyncio that was not started, or was stopped, works."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(asyncio.sleep(0))
    install(loop)
    assert loop.run_until_complete(hog_is_preempted())
    loop.close()


def test_in_debug_mode():
    """install() on a running loop in debug mode works too."""

    async def main():
        install(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return await hog_is_preempted()

    assert asyncio.run(main(), debug=True)


def test_twice():
    """A loop with the runtime is returned as it is."""
    loop = preemptio.new_event_loop(asyncio.SelectorEventLoop)
    processor = loop._p
    assert preemptio.install(loop) is loop
    assert loop._p is processor
    loop.close()


def test_on_uvloop_while_it_runs():
    """A running uvloop is refused with what to do instead, and goes on as it was."""

    async def main():
        with pytest.raises(preemptio.UnsupportedError, match="new_event_loop"):
            preemptio.install(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return 1

    loop = uvloop.new_event_loop()
    assert loop.run_until_complete(main()) == 1
    assert not isinstance(loop, RuntimeLoop)
    loop.close()


def test_on_uvloop_before_it_runs():
    """A uvloop that does not run takes the runtime."""
    loop = uvloop.new_event_loop()
    install(loop)
    assert isinstance(loop, RuntimeLoop)
    assert loop.run_until_complete(hog_is_preempted())
    loop.close()


def test_on_a_closed_loop():
    """A closed loop is refused."""
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(preemptio.UnsupportedError, match="closed"):
        preemptio.install(loop)


def test_from_another_thread():
    """A loop that runs in another thread is refused, and goes on as it was."""
    caught = []

    def elsewhere(loop):
        try:
            preemptio.install(loop)
        except preemptio.UnsupportedError as exc:
            caught.append(str(exc))

    async def main():
        await asyncio.to_thread(elsewhere, asyncio.get_running_loop())
        return type(asyncio.get_running_loop())

    assert asyncio.run(main()) is asyncio.SelectorEventLoop or caught
    assert "thread" in caught[0]


@pytest.mark.parametrize("thing", [None, 42, asyncio.SelectorEventLoop, threading.Thread])
def test_on_something_else(thing):
    """What is no event loop is a TypeError."""
    with pytest.raises(TypeError, match="event loop"):
        preemptio.install(thing)
