"""asyncio.Runner ends a loop of ours in bounded time, whatever its tasks do, and those that are left are reported.

PREEMPTIO_DENY=__main__:library
Exit: 0
Says: task='swallows'
Says: task='waits_on'
Says: task='masked'
Says: task='library'
Says: task stopped at a safe point
Says: task='computes'
"""

import asyncio
import time

from _common import make_loop, parked

import preemptio

ended = []


def computes():
    try:
        while True:
            pass
    finally:
        ended.append("computes")


def swallows():
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


async def waits_on():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass


async def masked():
    try:
        await asyncio.sleep(3600)
    finally:
        with preemptio.nopreempt("this never comes back"):
            swallows()


async def library():
    try:
        await asyncio.sleep(3600)
    finally:
        swallows()


async def orderly():
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(0)
        ended.append("orderly")


async def main():
    hogs = [preemptio.go(fn, name=fn.__name__) for fn in (computes, swallows)]
    others = [asyncio.create_task(fn(), name=fn.__name__) for fn in (waits_on, orderly, masked, library)]
    await parked(*hogs)
    return [*hogs, *others]


with asyncio.Runner(loop_factory=make_loop) as runner:
    tasks = runner.run(main())
    started = time.monotonic()
assert time.monotonic() - started < 20  # a few times a grace of 100 ms, and a machine that may be busy
assert all(task.cancelled() for task in tasks)
assert sorted(ended) == ["computes", "orderly"], ended
print("OK")
