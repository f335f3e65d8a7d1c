"""Cancellation of tasks that were preempted: asyncio's rules, and the stronger ones that can be asked for."""

import asyncio

import pytest

import preemptio
from tests.behaviour._support import Flag, limit, parked, spin

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


def spin_until_cancelled():
    """Compute until somebody has asked this task to end."""
    task = asyncio.current_task()
    for n in range(limit()):
        if task.cancelling():
            return n
    raise AssertionError("nobody cancelled this")


async def test_a_parked_task_gets_it_at_its_next_await():
    """cancel() of a preempted task is delivered at the next await, not where it stands."""
    flag, seen = Flag(), []

    async def victim():
        spin(flag)
        seen.append("computed")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    task = asyncio.create_task(victim())
    await parked(task)
    assert task.cancel("why")
    assert task.cancelling() == 1
    flag.stop = True
    with pytest.raises(asyncio.CancelledError, match="why"):
        await task
    assert seen == ["computed", "cancelled"]
    assert task.cancelled()


async def test_without_another_await_the_result_is_asyncios():
    """A step that returns after it was cancelled ends as cancelled, as a step of asyncio does that cancels itself."""
    flag = Flag()

    async def victim():
        spin(flag)
        return "value"

    async def cancels_itself():
        asyncio.current_task().cancel()
        return "value"

    task, model = asyncio.create_task(victim()), asyncio.create_task(cancels_itself())
    await parked(task)
    task.cancel()
    flag.stop = True
    await asyncio.wait([task, model])
    assert task.cancelled()
    assert task.cancelled() == model.cancelled()


async def test_an_exception_after_cancel_wins():
    """A step that raises after it was cancelled ends with what it raised, as in asyncio."""
    flag = Flag()

    async def victim():
        spin(flag)
        raise KeyError("mine")

    task = asyncio.create_task(victim())
    await parked(task)
    task.cancel()
    flag.stop = True
    with pytest.raises(KeyError, match="mine"):
        await task


async def test_twice_is_counted_and_raised_once():
    """Two requests count two and raise one CancelledError; the task may take both back."""
    flag = Flag()

    async def victim():
        task = asyncio.current_task()
        spin(flag)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        assert task.cancelling() == 2
        assert task.uncancel() == 1
        assert task.uncancel() == 0
        assert task.uncancel() == 0
        await asyncio.sleep(0)
        return "went on"

    task = asyncio.create_task(victim())
    await parked(task)
    assert task.cancel()
    assert task.cancel()
    flag.stop = True
    assert await task == "went on"


async def test_at_a_safe_point_when_asked_for():
    """cancel="safepoint": CancelledError is raised where the task stands, and `finally` runs."""
    ended = []

    def forever():
        try:
            spin(Flag())
        finally:
            ended.append(asyncio.current_task())

    task = preemptio.go(forever, cancel="safepoint")
    await parked(task)
    assert task.cancel("here")
    assert not ended
    with pytest.raises(asyncio.CancelledError, match="here"):
        await task
    assert task.cancelled()
    assert ended == [task]


async def test_at_a_safe_point_the_counts_are_asyncios():
    """After a cancellation at a safe point cancelling() and uncancel() count as if it had come at an await."""
    seen = []

    async def victim():
        task = asyncio.current_task()
        try:
            begun.append(task)
            spin(Flag())
        except asyncio.CancelledError:
            seen.append(task.cancelling())
        seen.append(task.uncancel())
        await asyncio.sleep(0)  # must not raise: the request was taken back
        return "went on"

    begun = []
    task = preemptio.go(victim, cancel="safepoint")
    while not begun:
        await asyncio.sleep(0)
    await parked(task)
    task.cancel()
    assert await task == "went on"
    assert seen == [1, 0]


async def test_at_a_safe_point_twice():
    """Two requests before the task runs again count two and raise one CancelledError."""
    raised = []

    async def victim():
        try:
            spin(Flag())
        except asyncio.CancelledError:
            raised.append(asyncio.current_task().cancelling())
        await asyncio.sleep(0)
        return "went on"

    task = preemptio.go(victim, cancel="safepoint")
    await parked(task)
    assert task.cancel()
    assert task.cancel()
    assert await task == "went on"
    assert raised == [2]


async def test_a_safepoint_task_that_waits_is_cancelled_as_any():
    """cancel="safepoint" changes nothing for a task that stands at an await."""
    started = asyncio.Event()

    async def victim():
        started.set()
        await asyncio.Event().wait()

    task = preemptio.go(victim, cancel="safepoint")
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelling() == 1


async def test_masked_code_is_not_cancelled_at_a_safe_point():
    """Inside nopreempt a safepoint task runs on; the cancellation comes when it can be met again."""
    seen = []

    async def victim():
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
        with preemptio.nopreempt("test"):
            for _ in range(300_000):
                preemptio.checkpoint()
            seen.append("masked part ended")
        spin(Flag())

    task = preemptio.go(victim, cancel="safepoint")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["masked part ended"]


async def test_wait_for_a_task_that_computes():
    """wait_for() cancels a preempted task at its time and raises TimeoutError when that task has ended."""

    async def victim():
        spin_until_cancelled()
        await asyncio.sleep(0)

    task = asyncio.create_task(victim())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task, 0.01)
    assert task.cancelled()


async def test_a_group_ends_a_preempted_sibling():
    """A failing member makes its TaskGroup cancel the sibling that computes; only the failure is raised."""

    async def victim():
        spin_until_cancelled()
        await asyncio.sleep(0)

    async def fail(sibling):
        await parked(sibling)
        raise KeyError("boom")

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            sibling = group.create_task(victim())
            group.create_task(fail(sibling))
    assert [type(exc) for exc in caught.value.exceptions] == [KeyError]
    assert sibling.cancelled()


async def test_gather_cancels_what_computes():
    """Cancelling a gather() reaches the tasks in it that are preempted."""

    async def victim():
        spin_until_cancelled()
        await asyncio.sleep(0)

    tasks = [asyncio.create_task(victim()) for _ in range(3)]
    await parked(*tasks)
    both = asyncio.gather(*tasks)
    both.cancel()
    with pytest.raises(asyncio.CancelledError):
        await both
    await asyncio.wait(tasks)  # gather() does not wait for those that come second
    assert all(task.cancelled() for task in tasks)


async def test_a_done_task_refuses():
    """cancel() of a task that is done returns False, preempted or not before."""
    flag = Flag()
    task = preemptio.go(spin, flag, cancel="safepoint")
    await parked(task)
    flag.stop = True
    await task
    assert not task.cancel()
    assert task.cancelling() == 0
