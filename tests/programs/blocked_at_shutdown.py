"""A task that blocks for ever does not keep the program from ending: its call is left by an exception.

PREEMPTIO_GRACE=300ms
Exit: 0
Says: task stopped at a safe point
"""

import asyncio
import threading

from _common import run

import preemptio

ended = []


def for_ever():
    lock = threading.Lock()
    lock.acquire()
    try:
        lock.acquire()
    finally:
        ended.append(True)


async def main():
    task = preemptio.go(for_ever)
    while str(task.g.status) != "syscall":
        await asyncio.sleep(0.001)


run(main())
assert ended
print("OK")
