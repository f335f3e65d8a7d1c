"""nopreempt against the tick."""

import asyncio

import pytest

import preemptio
from preemptio.lowlevel import PreemptKind, Verdict
from tests.behaviour._support import Flag, parked, spin

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


@pytest.mark.uninjected("the order of turns")
async def test_nobody_runs_inside():
    """However long it computes, a task inside nopreempt() is not interrupted; behind it, it gives way at once."""
    seen = []

    async def masked():
        g = asyncio.current_task().g
        with preemptio.nopreempt("test"):
            while g.refusals.get(Verdict.MASKED, 0) < 3:
                pass
            seen.append("end of the mask")
        preemptio.checkpoint()
        seen.append("behind it")

    task = asyncio.create_task(masked())
    asyncio.get_running_loop().call_soon(seen.append, "other")  # queued behind the task's first step
    await task
    assert seen[0] == "end of the mask"
    assert task.g.preemptions == {PreemptKind.SYNC: 1}  # who is next is a matter of time


async def test_a_masked_request_is_not_lost():
    """A task that was refused inside the mask is taken at a safe point behind it, without a checkpoint."""
    flag = Flag()

    async def masked():
        g = asyncio.current_task().g
        with preemptio.nopreempt("test"):
            while g.refusals.get(Verdict.MASKED, 0) < 1:
                pass
        return spin(flag)

    task = asyncio.create_task(masked())
    await parked(task)
    flag.stop = True
    await task


async def test_a_loop_that_is_masked_most_of_the_time():
    """A tick that meets the mask looks for the next safe point, so the little that is not masked is enough."""
    flag = Flag()

    async def mostly_masked():
        while not flag.stop:
            with preemptio.nopreempt("most of it"):
                for _ in range(300):
                    pass
        return True

    task = asyncio.create_task(mostly_masked())
    await parked(task)
    flag.stop = True
    assert await task


async def test_a_decorated_function():
    """@nopreempt masks a whole function, and shows its reason."""

    @preemptio.nopreempt("whole function")
    def masked():
        g = asyncio.current_task().g
        while g.refusals.get(Verdict.MASKED, 0) < 2:
            pass
        return g.reason

    task = preemptio.go(masked)
    assert await task == "whole function"
    assert PreemptKind.SYNC not in task.g.preemptions
