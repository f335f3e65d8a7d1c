"""cpu_limit and accounts: whose CPU time counts, exactly, and what happens at the limit."""

import asyncio
import time

import pytest
from structlog.testing import capture_logs

import preemptio
from preemptio._aio._cpulimit import DEMOTED
from preemptio.lowlevel import current_g
from tests.behaviour._support import Flag, parked, spin, turns

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


def burn(seconds):
    """Use CPU time, without a call that could give way."""
    until = time.thread_time() + seconds
    with preemptio.nopreempt("test"):
        while time.thread_time() < until:
            pass


async def test_a_loop_that_never_awaits_is_ended():
    """With an error that says how much it used, and its own cleanup done."""
    cleaned = []
    with pytest.raises(preemptio.CPULimitError, match=r"has used 0\.\d+ s of CPU time; its limit was 0\.02 s"):
        async with preemptio.cpu_limit(0.02) as cpu:
            try:
                while True:
                    pass
            finally:
                cleaned.append(True)
    assert cleaned
    assert cpu.exceeded
    assert cpu.used >= 0.02
    assert asyncio.current_task().cancelling() == 0


async def test_waiting_does_not_count():
    """Only the time in which it computes."""
    async with preemptio.cpu_limit(5) as cpu:
        await asyncio.sleep(0.05)
    assert cpu.used < 0.05
    assert not cpu.exceeded


async def test_every_step_counts():
    """Also those that are shorter than a tick, the one in which the block begins, and the one in which it ends."""
    async with preemptio.cpu_limit() as cpu:
        for _ in range(4):
            burn(0.002)
            await asyncio.sleep(0)
        burn(0.002)
    assert 0.010 <= cpu.used < 0.1


async def test_what_others_use_does_not_count():
    """A hog beside it, and what the task did before and does afterwards."""
    burn(0.01)
    with Flag() as flag:
        hog = preemptio.go(spin, flag)
        async with preemptio.cpu_limit() as cpu:
            burn(0.002)
            await parked(hog)
            await asyncio.sleep(0.05)
        used = cpu.used
        burn(0.01)
    await hog
    assert 0.002 <= used < 0.05
    assert cpu.used == used


async def test_what_it_starts_counts():
    """Children, and theirs, from their first step on; also after the block, for its account is theirs."""

    async def child(depth):
        burn(0.002)
        if depth:
            await asyncio.create_task(child(depth - 1))
        burn(0.002)

    async with preemptio.cpu_limit() as cpu:
        await asyncio.create_task(child(2))
    assert cpu.used >= 0.012


async def test_children_inherit_nice():
    """Unless it is said otherwise."""

    async def nice():
        return current_g().nice

    async def parent():
        return [await asyncio.create_task(nice()), await preemptio.go(nice), await preemptio.go(nice, nice=0)]

    assert await preemptio.go(parent, nice=7) == [7, 7, 0]
    assert await asyncio.create_task(nice()) == 0


async def test_a_child_that_uses_it_up_ends_the_block():
    """Which waits for it, and so is cancelled, and the child with it."""
    with Flag() as flag:

        async def parent():
            await preemptio.go(spin, flag, cancel="safepoint")

        with pytest.raises(preemptio.CPULimitError):
            await preemptio.go(parent, cpu_limit=0.02)


async def test_nested_limits():
    """Each counts for itself; the inner one's end is not the outer one's."""
    async with preemptio.cpu_limit(5) as outer:
        burn(0.002)
        with pytest.raises(preemptio.CPULimitError):
            async with preemptio.cpu_limit(0.01) as inner:
                while True:
                    pass
        await asyncio.sleep(0)
    assert outer.used >= inner.used + 0.002
    assert not outer.exceeded
    assert current_g()._extra.accounts == ()
    assert not current_g()._extra.aside


async def test_demoted_and_warned():
    """What it and its children may have of the CPU gets less until the block ends; both are logged."""
    with capture_logs() as logs:
        async with preemptio.cpu_limit(5, demote=0.01, warn=0.005):
            child = asyncio.create_task(asyncio.sleep(60))
            while current_g().nice != DEMOTED:
                burn(0.001)
                await asyncio.sleep(0)
            assert child.get_coro() is not None
            assert child.g.nice == DEMOTED
        assert current_g().nice == child.g.nice == 0
        child.cancel()
    reached = [(log["action"], log["limit"]) for log in logs if log["event"] == "cpu limit reached"]
    assert reached == [("warn", 0.005), ("demote", 0.01)]


async def test_an_outer_cancellation_is_not_taken_for_it():
    """A task that is cancelled before its limit stays cancelled."""

    async def limited():
        async with preemptio.cpu_limit(5):
            await asyncio.sleep(60)

    task = asyncio.create_task(limited())
    await turns(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_suspended_task_is_ended_when_it_goes_on():
    """A limit that is met while it is held waits for the end of the hold."""

    async def limited():
        async with preemptio.cpu_limit(0.005):
            burn(0.01)
            await asyncio.sleep(60)

    task = asyncio.create_task(limited())
    await asyncio.sleep(0)
    async with preemptio.suspended(task.g):
        await asyncio.sleep(0.01)
        assert not task.done()
    with pytest.raises(preemptio.CPULimitError):
        await task


async def test_go_takes_a_limit():
    """A number, or an object with more to say; of a function, a coroutine function, a coroutine."""
    with Flag() as flag:
        with pytest.raises(preemptio.CPULimitError):
            await preemptio.go(spin, flag, cpu_limit=0.01)
        limit = preemptio.cpu_limit(0.01, warn=0.005)
        with pytest.raises(preemptio.CPULimitError):
            await preemptio.go(spin, flag, cpu_limit=limit)
    assert limit.used >= 0.01
    assert await preemptio.go(asyncio.sleep(0, "result"), cpu_limit=5) == "result"


async def test_misuse_says_what_to_type():
    """Limits that are no numbers, in the wrong order, and an object that was used before."""
    for bad in (0, -1, "1", float("nan"), float("inf"), True):
        with pytest.raises(ValueError, match=r"positive number of seconds.*cpu_limit\(cancel=2\.0\)"):
            preemptio.cpu_limit(bad)
    with pytest.raises(ValueError, match="to warn comes before"):
        preemptio.cpu_limit(1, warn=2)
    limit = preemptio.cpu_limit(1)
    async with limit:
        pass
    with pytest.raises(RuntimeError, match=r"make another: preemptio\.cpu_limit"):
        await limit.__aenter__()
    with pytest.raises(ValueError, match="positive"):
        preemptio.go(spin, None, cpu_limit=-1)


async def test_outside_of_a_task():
    """There is no G whose time could be counted."""

    async def main():
        async with preemptio.cpu_limit(1):
            pass

    with pytest.raises(preemptio.NotAGError, match=r"preemptio\.run"):
        await asyncio.to_thread(asyncio.run, main())


async def test_a_group_has_a_limit_for_all_of_it():
    """Its tasks are ended where they compute, and the group says why."""
    ended = []

    def child(flag):
        try:
            spin(flag)
        finally:
            ended.append(True)

    with Flag() as flag, pytest.raises(preemptio.CPULimitError):
        async with preemptio.TaskGroup(cpu_limit=0.03) as group:
            for _ in range(3):
                group.go(child, flag)
    assert ended == [True] * 3
    assert group.cpu_time >= 0.03


async def test_a_group_counts_its_tasks():
    """Also without a limit; and each keeps its own account."""

    async def child():
        burn(0.004)

    async with preemptio.TaskGroup() as group:
        first = group.create_task(child(), name="first")
        group.go(burn, 0.004)
    assert group.cpu_time >= 0.008
    assert first.get_name() == "first"
    assert 0.004 <= first.g.cpu_time < group.cpu_time


async def test_a_group_gives_its_nice():
    """To all of its tasks, or one its own; they do as asyncio's do otherwise."""

    async def nice():
        return current_g().nice

    async with preemptio.TaskGroup(nice=5) as group:
        tasks = [group.create_task(nice()), group.go(nice, nice=-3), group.create_task(nice(), nice=0)]
    assert [task.result() for task in tasks] == [5, -3, 0]


async def test_a_task_of_a_group_that_fails():
    """Ends the others, one that computes as well, and the group raises what it raised."""

    async def fails():
        await asyncio.sleep(0.005)
        raise KeyError("mine")

    with Flag() as flag, pytest.raises(ExceptionGroup) as caught:
        async with preemptio.TaskGroup() as group:
            group.go(spin, flag)
            group.create_task(fails())
    assert [repr(each) for each in caught.value.exceptions] == ["KeyError('mine')"]


async def test_misuse_of_a_group():
    """A nice that is none leaves no coroutine behind; a group that has ended starts nothing."""
    with pytest.raises(ValueError, match="from -20"):
        preemptio.TaskGroup(nice=99)
    async with preemptio.TaskGroup() as group:
        with pytest.raises(ValueError, match="from -20"):
            group.create_task(asyncio.sleep(0), nice=99)
        with pytest.raises(TypeError, match="takes a function"):
            group.go(3)
    with pytest.raises(RuntimeError):
        group.go(spin, None)
