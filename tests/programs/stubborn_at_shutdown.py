"""A hog that ignores every cancellation when main is over: run() returns within its grace and says who it was.

Exit: 0
Says: task did not stop
Says: stubborn
"""

import asyncio
import time

from _common import parked, run

import preemptio


def stubborn():
    while True:
        try:
            while True:
                try:
                    while True:
                        pass
                except asyncio.CancelledError:
                    pass
        except asyncio.CancelledError:  # at the back edge of the loop around the inner one
            pass


async def main():
    task = preemptio.go(stubborn, name="stubborn")
    await parked(task)
    return time.monotonic()


started = run(main())
assert time.monotonic() - started < 20  # twice a grace of 100 ms, and a machine that may be busy
print("OK")
