"""All tasks are asleep, and one could go on if another did not hold it that waits for it: it is let go.

PREEMPTIO_STARVATION=0
Exit: 0
May say: suspended task was not resumed
"""

import asyncio
import faulthandler

from _common import run

import preemptio
from preemptio._aio import _run_ahead

faulthandler.cancel_dump_traceback_later()  # it has a thread
_run_ahead.LOOK_ASLEEP = 0.05  # of uvloop: here it is known that nothing comes that soon


async def worker():
    await asyncio.sleep(0)
    return 1


async def awaits():
    task = asyncio.create_task(worker())
    async with preemptio.suspended(task):
        return await task


async def awaits_beside_a_timer():
    """What it calls is no step, so nothing begins when it is due."""
    asyncio.get_running_loop().call_later(0.2, int)
    return await awaits()


async def waits_in_a_function():
    task = asyncio.create_task(worker())
    async with preemptio.suspended(task):
        return preemptio.wait(task)


async def is_a_task_group():
    async with asyncio.TaskGroup() as group:
        task = group.create_task(worker())
        state = await preemptio.suspend_g(task)
    assert state.over
    return task.result()


async def awaits_in_the_stopped_world():
    async with preemptio.stop_the_world("test"):
        return await asyncio.create_task(worker())


async def waits_for_an_event_of_one_that_it_holds():
    event = asyncio.Event()

    async def sets():
        event.set()

    async with preemptio.suspended(asyncio.create_task(sets())):
        await event.wait()
    return 1


async def hold_each_others():
    """Two that hold what the other waits for."""

    async def holds(mine, its):
        async with preemptio.suspended(mine):
            await asyncio.sleep(0)
            return await its

    one, two = asyncio.create_task(worker()), asyncio.create_task(worker())
    return max(await asyncio.gather(holds(one, two), holds(two, one)))


for way in (
    awaits,
    awaits_beside_a_timer,
    waits_in_a_function,
    is_a_task_group,
    awaits_in_the_stopped_world,
    waits_for_an_event_of_one_that_it_holds,
    hold_each_others,
):
    assert run(way()) == 1, way
print("OK")
