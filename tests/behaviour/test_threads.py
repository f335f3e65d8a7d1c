"""Loops in other threads without a tick: checkpoints work there. With one: tests/preempt/test_monitor.py."""

import asyncio
import threading

import pytest

import preemptio
from preemptio.lowlevel import PreemptKind
from tests.behaviour._support import Flag, parked, spin

pytestmark = pytest.mark.loop


def in_thread(make_loop, main, source="none"):
    """Run a coroutine function on a loop in a thread; return a function that waits for its result."""
    result = []
    loop = make_loop(source=source)  # here: settings are overridden for the process

    def work():
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                result.append(runner.run(main()))
        except BaseException as exc:
            result.append(exc)

    thread = threading.Thread(target=work, daemon=True)  # a failure must not hang the test run
    thread.start()

    def finish():
        thread.join(20)
        assert result, "the loop in the thread hangs"
        if isinstance(result[0], BaseException):
            raise result[0]
        return result[0]

    return finish


def checkpointing(flag):
    for n in range(2_000_000):
        preemptio.checkpoint()
        if flag.stop:
            return n
    raise AssertionError


async def hog_gives_way():
    flag = Flag()
    task = preemptio.go(checkpointing, flag)
    await parked(task)
    flag.stop = True
    await task
    return dict(task.g.preemptions)


@pytest.mark.uninjected("who stops the task")
def test_checkpoints_work(make_loop):
    """A task that calls checkpoint() gives way by the clock."""
    assert in_thread(make_loop, hog_gives_way)().keys() == {PreemptKind.SYNC}


@pytest.mark.uninjected("nobody stops the task")
def test_no_ticks(make_loop):
    """A task without checkpoints keeps the CPU until it awaits."""

    async def main():
        seen = []
        asyncio.get_running_loop().call_soon(seen.append, 1)
        for _ in range(500_000):
            pass
        assert not seen
        await asyncio.sleep(0)
        return seen, dict(asyncio.current_task().g.preemptions)

    assert in_thread(make_loop, main)() == ([1], {})


@pytest.mark.uninjected("who stops the task")
def test_beside_a_loop_in_the_main_thread(make_loop):
    """Ticks of the main thread's loop preempt its own tasks only, checkpoints of the other thread its own only."""

    async def main():
        flag = Flag()
        task = preemptio.go(spin, flag, 10**9)  # long enough for two threads that get the GIL now and then
        await parked(task)
        others = [in_thread(make_loop, hog_gives_way) for _ in range(2)]
        results = [await asyncio.to_thread(finish) for finish in others]
        flag.stop = True
        await task
        return results, task.g.preemptions.keys()

    with asyncio.Runner(loop_factory=make_loop) as runner:
        results, mine = runner.run(main())
    assert all(result.keys() == {PreemptKind.SYNC} for result in results)
    assert PreemptKind.SYNC not in mine


@pytest.mark.parametrize("source", ["none", "auto"])
def test_wait_and_timeouts(make_loop, source):
    """wait(), timeout at an await, and timeout of a task with checkpoints work in any thread."""

    async def main():
        assert await preemptio.go(preemptio.wait, asyncio.sleep(0, 5)) == 5
        with pytest.raises(TimeoutError):
            async with preemptio.timeout(0.002):
                await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            async with preemptio.timeout(0.002):
                checkpointing(Flag())
        return True

    assert in_thread(make_loop, main, source)()


def test_run_in_a_thread(make_loop):
    """preemptio.run works in a thread and ends what is left."""
    result = []

    async def main():
        task = preemptio.go(checkpointing, Flag())
        await parked(task)
        return task

    def work():
        with preemptio.config.override(grace=0.01):
            result.append(preemptio.run(main(), loop_factory=make_loop))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert result[0].cancelled()
