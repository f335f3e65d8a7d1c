"""Threads whose loop was closed under them, without a shutdown, end in silence; so does a program that has such.

Exit: 0
"""

import asyncio
import threading

from _common import make_loop

import preemptio

begun, released = threading.Barrier(3), threading.Event()
results = []


def works():
    begun.wait()
    released.wait()
    results.append(threading.current_thread())
    raise KeyError("nobody hears this")


async def main():
    tasks = [asyncio.create_task(preemptio.blocking(works)) for _ in range(2)]
    await preemptio.blocking(begun.wait)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


loop = make_loop()
loop.run_until_complete(main())
loop.close()
released.set()
while len(results) < 2:
    pass
print("OK")
