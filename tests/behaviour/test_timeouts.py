"""Time limits: asyncio's, which come at an await, and preemptio's, which end code that never awaits."""

import asyncio
import math

import pytest

import preemptio
from tests.behaviour._support import Flag, limit, parked, spin

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


async def test_asyncios_comes_at_the_first_await():
    """asyncio.timeout marks a task that computes; its TimeoutError comes at the first await, not before."""
    task = asyncio.current_task()
    reached = False
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.005) as deadline:
            for _ in range(limit()):
                if task.cancelling():
                    break
            reached = True
            await asyncio.sleep(0)
    assert reached
    assert deadline.expired()
    assert task.cancelling() == 0


async def test_ours_ends_a_loop_that_never_awaits():
    """preemptio.timeout raises TimeoutError out of a computing block, running `finally` on the way."""
    ended = []
    with pytest.raises(TimeoutError):
        async with preemptio.timeout(0.005) as limit:
            try:
                spin(Flag())
            finally:
                ended.append(True)
    assert ended
    assert limit.expired
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(0)  # nothing is left to be delivered


async def test_ours_ends_an_await():
    """preemptio.timeout ends a block that waits, as asyncio's does."""
    with pytest.raises(TimeoutError):
        async with preemptio.timeout(0.001):
            await asyncio.Event().wait()
    assert asyncio.current_task().cancelling() == 0


async def test_ours_ends_a_wait():
    """preemptio.timeout ends a block that stands in preemptio.wait."""
    with pytest.raises(TimeoutError):
        async with preemptio.timeout(0.001):
            preemptio.wait(asyncio.Event().wait())
    assert asyncio.current_task().cancelling() == 0


async def test_a_block_that_ends_in_time_is_left_alone():
    """No TimeoutError, no cancellation and no timer remain of a block that was fast enough."""
    async with preemptio.timeout(60) as limit:
        await asyncio.sleep(0)
    assert not limit.expired
    async with preemptio.timeout(None) as unlimited:
        await asyncio.sleep(0)
    assert not unlimited.expired


@pytest.mark.parametrize(("inner_delay", "outer_delay"), [(0.005, 60), (60, 0.005), (0.005, 0.005)])
async def test_nested(inner_delay, outer_delay):
    """The TimeoutError comes out of the block whose time was over; out of one of them if both were."""
    came_out_of = []
    try:
        async with preemptio.timeout(outer_delay) as outer:
            try:
                async with preemptio.timeout(inner_delay) as inner:
                    spin(Flag())
            except TimeoutError:
                came_out_of.append("inner")
    except TimeoutError:
        came_out_of.append("outer")
    if inner_delay < outer_delay:
        assert (came_out_of, inner.expired, outer.expired) == (["inner"], True, False)
    elif outer_delay < inner_delay:
        assert (came_out_of, inner.expired, outer.expired) == (["outer"], False, True)
    else:  # either's timer may be the first, and end the block before the other's fires
        assert len(came_out_of) == 1
        assert {"inner": inner, "outer": outer}[came_out_of[0]].expired
    assert asyncio.current_task().cancelling() == 0


async def test_asyncios_inside_ours_and_ours_inside_asyncios():
    """The two kinds nest: each tells its own cancellation from the other's."""
    with pytest.raises(TimeoutError):
        async with preemptio.timeout(0.005) as ours:
            async with asyncio.timeout(60) as theirs:
                spin(Flag())
    assert ours.expired
    assert not theirs.expired()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60) as theirs:
            async with preemptio.timeout(0.005) as ours:
                spin(Flag())
    assert ours.expired
    assert not theirs.expired()
    assert asyncio.current_task().cancelling() == 0


async def test_cancelled_from_outside_it_is_no_timeout():
    """A cancellation from elsewhere leaves the block as CancelledError, with the time not over."""
    limits = []

    async def victim():
        async with preemptio.timeout(60) as limit:
            limits.append(limit)
            spin(Flag())

    task = preemptio.go(victim, cancel="safepoint")
    while not limits:
        await asyncio.sleep(0)
    await parked(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not limits[0].expired


async def test_cancelled_from_outside_and_expired():
    """When both happened, it is the cancellation from outside that leaves the block, and that still counts."""
    seen = []

    async def victim():
        task = asyncio.current_task()
        try:
            async with preemptio.timeout(0.1) as limit:  # long after the cancellation
                begun.append(limit)
                spin(Flag())
        finally:
            seen.append((limit.expired, task.cancelling()))

    begun = []
    task = asyncio.create_task(victim())
    while not begun:
        await asyncio.sleep(0)
    await parked(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == [(True, 1)]


async def test_a_time_that_was_over_before():
    """A delay of zero or less ends the block at its first safe point or await."""
    for delay in (0, -1):
        with pytest.raises(TimeoutError):
            async with preemptio.timeout(delay):
                spin(Flag())
        with pytest.raises(TimeoutError):
            async with preemptio.timeout(delay):
                await asyncio.Event().wait()


async def test_another_exception_stays():
    """What the block raises by itself after its time was over leaves it unchanged."""
    with pytest.raises(KeyError):
        async with preemptio.timeout(0.002):
            try:
                spin(Flag())
            except asyncio.CancelledError:
                raise KeyError("mine") from None
    assert asyncio.current_task().cancelling() == 0


async def test_one_object_serves_one_block():
    """Entering a timeout object twice is refused."""
    limit = preemptio.timeout(60)
    async with limit:
        with pytest.raises(RuntimeError, match="one block"):
            await limit.__aenter__()
    with pytest.raises(RuntimeError, match="one block"):
        await limit.__aenter__()


@pytest.mark.parametrize("delay", ["1", math.nan, object()])
async def test_a_delay_must_be_a_number(delay):
    """What is not a number of seconds is refused when the object is made."""
    with pytest.raises(ValueError, match="number of seconds"):
        preemptio.timeout(delay)
