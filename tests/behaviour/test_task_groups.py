"""Task groups whose members compute."""

import asyncio

import pytest

from tests.behaviour._support import Flag, limit, parked, preempted, rounds, spin

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


async def compute(n):
    total = 0
    for i in range(n):
        total += i
    return total


async def test_every_result():
    """A group waits for all of its computing members and has each one's result."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(compute(rounds(400_000) + n)) for n in range(4)]
    assert [task.result() for task in tasks] == [sum(range(rounds(400_000) + n)) for n in range(4)]
    assert all(preempted(task) for task in tasks)


async def test_nested():
    """Groups in groups, all of whose leaves compute, end inner first."""
    ended = []

    async def branch(name):
        async with asyncio.TaskGroup() as group:
            for n in range(3):
                group.create_task(compute(rounds(100_000) + n))
        ended.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(branch("a"))
        group.create_task(branch("b"))
    ended.append("outer")
    assert sorted(ended[:2]) == ["a", "b"]
    assert ended[2:] == ["outer"]


async def test_the_body_fails_while_members_compute():
    """An error in the body of the group cancels the members that compute and leaves as an exception group."""

    async def victim():
        task = asyncio.current_task()
        for _ in range(limit()):
            if task.cancelling():
                break
        await asyncio.sleep(0)

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(victim()) for _ in range(3)]
            await parked(*tasks)
            raise KeyError("body")
    assert [exc.args for exc in caught.value.exceptions] == [("body",)]
    assert all(task.cancelled() for task in tasks)


async def test_the_group_is_cancelled_while_a_member_computes():
    """Cancelling the task that holds the group cancels its members; what leaves is CancelledError."""
    flag, members = Flag(), []

    async def victim():
        spin(flag)
        await asyncio.Event().wait()

    async def holder():
        async with asyncio.TaskGroup() as group:
            members.append(group.create_task(victim()))

    task = asyncio.create_task(holder())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await parked(*members)
    task.cancel()
    flag.stop = True
    with pytest.raises(asyncio.CancelledError):
        await task
    assert members[0].cancelled()
