"""Calls in worker threads return beside hogs and beside one another; none blocks the loop, and nothing is said.

Exit: 0
"""

import asyncio
import queue
import threading
import time

from _common import Flag, parked, preempted, run, spin

import preemptio

TOGETHER = 30


def get(items):  # a plain function, that a task runs
    return preemptio.wait(preemptio.blocking(items.get))


async def main():
    flag, items = Flag(), queue.Queue()
    hogs = [preemptio.go(spin, flag) for _ in range(2)]
    await parked(*hogs)
    barrier = threading.Barrier(TOGETHER)  # nobody leaves before all have come
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(preemptio.blocking(barrier.wait)) for _ in range(TOGETHER)]
    assert sorted(task.result() for task in tasks) == list(range(TOGETHER))
    getters = [preemptio.go(get, items) for _ in range(10)]
    while not all(str(getter.g.status) == "syscall" for getter in getters):
        await asyncio.sleep(0)
    before = [preempted(hog) for hog in hogs]
    for n in range(10):
        await preemptio.blocking(time.sleep, 0.002)
        await preemptio.blocking(items.put, n)
    assert sorted(await asyncio.gather(*getters)) == list(range(10))
    assert [preempted(hog) for hog in hogs] > before
    flag.stop = True
    await asyncio.gather(*hogs)


run(main())
assert [thread for thread in threading.enumerate() if "preemptio" in thread.name] == []
print("OK")
