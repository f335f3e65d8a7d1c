"""The process ends while loops in daemon threads compute, turn and sleep: it does not crash, and they answer until the
program's own last callback has run.

PREEMPTIO_DEBUG=preemptall=1
May say: tick source unavailable
Exit: 0
"""

import asyncio
import atexit
import threading

from _common import Flag, parked, run, spin

import preemptio

loops = []
ready = threading.Barrier(4)


def compute(flag):
    while not flag.stop:
        preemptio.checkpoint()  # for 3.11, where there is no tick


async def computes():
    hogs = [preemptio.go(compute, Flag()) for _ in range(3)]
    await parked(*hogs)


async def turns():
    task = asyncio.create_task(endless())
    await asyncio.sleep(0)
    assert not task.done()


async def endless():
    while True:
        await asyncio.sleep(0)


async def sleeps():
    task = preemptio.go(spin, Flag(), background=True)
    task.cancel()
    await asyncio.wait([task])


async def main(begin):
    await begin()
    loops.append(asyncio.get_running_loop())
    await asyncio.to_thread(ready.wait)
    await asyncio.Event().wait()


async def answer():
    await asyncio.sleep(0)
    return 1


def last():
    assert [asyncio.run_coroutine_threadsafe(answer(), loop).result(20) for loop in loops] == [1, 1, 1]
    print("OK")


atexit.register(last)
for begin in (computes, turns, sleeps):
    threading.Thread(target=lambda begin=begin: run(main(begin)), daemon=True).start()
ready.wait(20)
