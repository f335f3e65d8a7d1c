"""Fairness: who gets how much of the CPU. Counts of work are compared, with wide margins."""

import asyncio

import pytest

import preemptio
from tests.behaviour._support import Flag, parked, spin, turns

pytestmark = [
    pytest.mark.loop,
    pytest.mark.asyncio,
    pytest.mark.uninjected("how the CPU is shared by the clock"),
]


async def test_ping_pong_beside_hogs():
    """A pair that never lets the loop go quiet and four hogs do work within a factor of 20. Go's TestPingPongHog."""
    flag = Flag()
    hogs = [preemptio.go(spin, flag) for _ in range(4)]
    await parked(*hogs)
    ping, pong = asyncio.Queue(), asyncio.Queue()

    async def light(wake, other, rounds):
        count = 0
        for _ in range(rounds):
            await wake.get()
            for _ in range(1000):
                count += 1
            other.put_nowait(True)
        return count

    pair = [asyncio.create_task(light(ping, pong, 2000)), asyncio.create_task(light(pong, ping, 2000))]
    ping.put_nowait(True)
    light_work = sum(await asyncio.gather(*pair))
    flag.stop = True
    for work in await asyncio.gather(*hogs):
        assert light_work / 20 < work < light_work * 20


async def test_hogs_of_equal_rank_share_equally():
    """Four tasks that compute the same get about the same: nobody falls below a third of the best."""
    flag = Flag()
    hogs = [preemptio.go(spin, flag) for _ in range(4)]
    await parked(*hogs)
    while min(hog.g.slices for hog in hogs) < 20:
        await asyncio.sleep(0.001)
    flag.stop = True
    work = await asyncio.gather(*hogs)
    assert min(work) > max(work) / 3


async def test_nice_shifts_the_shares():
    """Ten steps of nice are a factor of nine in CPU; at least three of them show."""
    flag = Flag()

    def first(rounds):
        for _ in range(rounds):
            pass
        flag.stop = True

    modest = preemptio.go(spin, flag, nice=10)
    await parked(modest)
    await preemptio.go(first, 6_000_000)
    slices = modest.g.slices
    assert slices > 1
    assert 0 < await modest < 2_000_000


async def test_background_waits_for_everyone_else():
    """A task of the background class does not run while a task computes or others have steps to run; then it does."""
    ran = []
    with Flag() as flag:
        lazy = preemptio.go(ran.append, 1, background=True)
        hog = preemptio.go(spin, flag)
        await parked(hog)
        await turns(300)
        while hog.g.slices < 10:
            await asyncio.sleep(0.001)
        assert not ran
    await hog
    await lazy
    assert ran


async def test_background_that_computes_gives_way_to_newcomers():
    """A preempted background task stays parked until the task that came later is done."""
    flag = Flag()
    lazy = preemptio.go(spin, flag, background=True)
    while not lazy.g.parked:
        await asyncio.sleep(0.001)  # quiet, so that it may run
    slices = lazy.g.slices
    count = 0

    def work():
        nonlocal count
        for _ in range(1_000_000):
            count += 1

    hog = preemptio.go(work)
    await hog
    assert sum(hog.g.preemptions.values()) >= 2
    assert lazy.g.slices == slices
    flag.stop = True
    assert await lazy


async def test_a_newcomer_does_not_shut_out_an_old_hog():
    """A task that has used much CPU still gets slices beside fresh ones."""
    flag = Flag()
    old = preemptio.go(spin, flag)
    while old.g.cpu_time < 0.05:
        await asyncio.sleep(0.001)
    fresh = preemptio.go(spin, flag)
    await parked(fresh)
    slices = old.g.slices
    limit = fresh.g.slices + 12
    while fresh.g.slices < limit:
        await asyncio.sleep(0.001)
    assert old.g.slices >= slices + 3
    flag.stop = True
    await asyncio.gather(old, fresh)


async def test_a_slice_that_is_used_up_by_charge_is_used_up():
    """Who hands over by charge(1000) and does nothing else does not come before who computes: they take turns."""
    flag = Flag()
    hog = preemptio.go(spin, flag)
    await parked(hog)
    slices = hog.g.slices

    def generous():
        for _ in range(200):
            preemptio.charge(1000)

    await preemptio.go(generous)
    assert hog.g.slices - slices > 20
    flag.stop = True
    await hog
