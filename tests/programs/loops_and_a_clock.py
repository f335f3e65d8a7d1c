"""Three loops without a single call in them, and a clock that must go on beside them.

Exit: 0
"""

import asyncio

from _common import run

import preemptio

stop = False


def one():
    n = 0
    while not stop:
        n += 1
    return n


async def two():
    n = 0
    while not stop:
        n += 1
    return n


async def three():
    x = 1
    while True:
        x = (x * 3 + 1) % 1000003
        if stop:
            return 1


async def main():
    global stop
    tasks = [preemptio.go(one), preemptio.go(two), asyncio.create_task(three())]
    for _ in range(30):
        await asyncio.sleep(0.002)
    stop = True
    assert all(await asyncio.gather(*tasks))
    assert all(task.g.preemptions for task in tasks)


run(main())
print("OK")
