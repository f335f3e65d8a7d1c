"""A call that never returns keeps neither the loop nor the interpreter from ending; the user is told which it was.

Exit: 0
Says: blocking call did not end
Says: for_ever
"""

import asyncio
import threading

from _common import run

import preemptio

lock = threading.Lock()
lock.acquire()


def for_ever():
    lock.acquire()


async def main():
    tasks = [
        preemptio.go(preemptio.blocking, for_ever),
        preemptio.go(lambda: preemptio.wait(preemptio.blocking(for_ever))),
    ]
    while not all(str(task.g.status) == "syscall" for task in tasks):
        await asyncio.sleep(0.001)


run(main())
assert not lock.acquire(blocking=False)
print("OK")
