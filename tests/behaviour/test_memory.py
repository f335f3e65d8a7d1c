"""What is left of tasks that were preempted: nothing."""

import asyncio
import gc

import pytest

import preemptio
from preemptio._core._carrier import Carrier
from preemptio.lowlevel import G
from tests.behaviour._support import rounds

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


@preemptio.nopreempt("a count is of one moment")
def alive(cls):
    gc.collect()
    return sum(isinstance(thing, cls) for thing in gc.get_objects())


async def test_ten_thousand_preempted_tasks():
    """After 10,000 tasks that were each preempted no G is left, and no more carriers than the pool keeps."""
    before = alive(G), alive(Carrier)
    counts, batch = [], max(rounds(500), 50)

    def work():
        preemptio.charge(1000)
        counts.append(1)

    for _ in range(20):
        tasks = [preemptio.go(work) for _ in range(batch)]
        await asyncio.gather(*tasks)
        assert all(task.g.preemptions for task in tasks)
    del tasks
    assert len(counts) == 20 * batch
    await asyncio.sleep(0)
    assert alive(G) <= before[0]
    assert alive(Carrier) <= before[1] + 17


async def test_failed_and_cancelled_ones():
    """Exceptions and cancellations of preempted tasks keep nothing alive once they are dropped."""
    before = alive(G)

    def fails():
        preemptio.charge(1000)
        raise KeyError

    async def cancelled():
        preemptio.charge(1000)
        await asyncio.sleep(60)

    for _ in range(20):
        tasks = [preemptio.go(fails) for _ in range(20)] + [preemptio.go(cancelled) for _ in range(20)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() or task.exception() for task in tasks)
    del tasks, task
    await asyncio.sleep(0)
    assert alive(G) <= before
