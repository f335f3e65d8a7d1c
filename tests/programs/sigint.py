"""Ctrl-C beside a hog: main is cancelled, KeyboardInterrupt leaves run(), and the hog's `finally` has run.

Exit: 0
Says: task stopped at a safe point
"""

import asyncio
import os
import signal

from _common import parked, run

import preemptio

ended = []


def hog():
    try:
        while True:
            pass
    finally:
        ended.append("hog")


async def main():
    task = preemptio.go(hog)
    await parked(task)
    asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGINT)
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("main")


try:
    run(main())
except KeyboardInterrupt:
    assert ended == ["main", "hog"], ended
    print("OK")
