"""Who ends a loop by other means than preemptio.run: what is recognised as that, and what is waited for in full."""

import asyncio

import pytest
import structlog

import preemptio
from tests.behaviour._support import Flag, limit, parked, spin

pytestmark = pytest.mark.loop


@pytest.fixture(autouse=True)
def grace():
    with preemptio.config.override(grace=0.02):
        yield


async def slow_to_end():
    """Take ten times the grace to end."""
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.2)


def stubborn():
    for _ in range(limit()):
        try:
            spin(Flag())
        except asyncio.CancelledError:
            pass


async def begun(*coros):
    tasks = [asyncio.create_task(coro) for coro in coros]
    await asyncio.sleep(0)
    return tasks


def test_a_runner_ends_a_task_that_swallows_cancellation(make_loop):
    """asyncio.Runner on a loop of ours ends, the task is reported, and says that it was cancelled."""

    async def main():
        task = preemptio.go(stubborn, name="stubborn")
        await parked(task)
        return task

    with structlog.testing.capture_logs() as logs:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            task = runner.run(main())
        assert task.cancelled()
    assert [(log["event"], log["task"]) for log in logs][:1] == [("task did not stop", "stubborn")]


def test_a_runner_ends_a_mask_that_does_not_end(make_loop):
    """A task in a `nopreempt` region is cancelled where it stands once the loop could not turn for the grace."""
    ended = []

    async def masked():
        try:
            await asyncio.Event().wait()
        finally:
            with preemptio.nopreempt("no end"):
                try:
                    spin(Flag())
                finally:
                    ended.append(asyncio.current_task().get_name())

    async def main():
        return (await begun(masked()))[0]

    with asyncio.Runner(loop_factory=make_loop) as runner:
        task = runner.run(main())
    assert task.cancelled()
    assert ended == [task.get_name()]


def test_a_mask_holds_while_the_loop_does_not_end(make_loop):
    """However long it takes: nobody else runs before the region ends."""
    seen = []

    async def masked():
        with preemptio.nopreempt("longer than the grace"):
            asyncio.get_running_loop().call_soon(seen.append, "a callback")
            start = asyncio.get_running_loop().time()
            while asyncio.get_running_loop().time() - start < 0.1:
                pass
            seen.append("the end of the region")

    async def main():
        await asyncio.gather(*await begun(masked()))
        await asyncio.sleep(0)

    preemptio.run(main(), loop_factory=make_loop)
    assert seen == ["the end of the region", "a callback"]


@pytest.mark.parametrize("cancelled", [1, 2])
def test_who_waits_for_some_tasks_waits_in_full(make_loop, cancelled):
    """gather of what was cancelled is no shutdown while another task is left, cancelled or not."""
    loop = make_loop()
    tasks = loop.run_until_complete(begun(slow_to_end(), slow_to_end()))
    for task in tasks[:cancelled]:
        task.cancel()
    loop.run_until_complete(asyncio.gather(tasks[0], return_exceptions=True))
    assert tasks[0].done()
    assert not tasks[1].done() or cancelled == 2  # it ends in the same turn
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.wait(tasks))
    loop.close()


def test_a_gather_of_tasks_that_were_not_cancelled_waits_in_full(make_loop):
    """All tasks, but one of them was not asked to end: its result is waited for."""

    async def result():
        await asyncio.sleep(0.2)
        return "result"

    loop = make_loop()
    tasks = loop.run_until_complete(begun(slow_to_end(), result()))
    tasks[0].cancel()
    results = loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1] == "result"
    loop.close()


def test_a_shutdown_in_time_is_as_ever(make_loop):
    """What ends within the grace ends as it does in asyncio: results, exceptions and cancellations."""

    async def ends(how):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if how is None:
                raise
            if isinstance(how, Exception):
                raise how from None
            return how

    loop = make_loop()
    tasks = loop.run_until_complete(begun(ends("result"), ends(KeyError("mine")), ends(None)))
    for task in tasks:
        task.cancel()
    results = loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    assert [type(result) for result in results] == [str, KeyError, asyncio.CancelledError]
    loop.close()


def test_tasks_of_another_class_are_waited_for(make_loop):
    """A task that a factory made cannot say that it was cancelled while it was not: it gets the time that it takes."""
    loop = make_loop()
    loop.set_task_factory(lambda loop, coro, **kwargs: asyncio.Task(coro, loop=loop, **kwargs))
    tasks = loop.run_until_complete(begun(slow_to_end()))
    tasks[0].cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    assert tasks[0].done()
    loop.close()


def test_run_takes_a_grace_of_its_own(make_loop):
    """run(grace=) is in the place of the knob, and must be a time."""

    async def main():
        return await begun(slow_to_end())

    with preemptio.config.override(grace=0.0):
        (task,) = preemptio.run(main(), loop_factory=make_loop, grace=20.0)
    assert task.done()
    with pytest.raises(ValueError, match="grace"):
        preemptio.run(main(), grace=-1)
