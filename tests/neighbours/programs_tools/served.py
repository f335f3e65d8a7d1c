"""A running process with two parked hogs and one that runs, until its standard input ends."""

import asyncio
import sys
import threading

from _hogs import Flag, again, preempted, run, spin

import preemptio


async def main():
    flag = Flag()
    hogs = [preemptio.go(spin, flag) for _ in range(3)]
    await again(*hogs)
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def wait():
        sys.stdin.read()
        loop.call_soon_threadsafe(done.set)

    threading.Thread(target=wait, daemon=True).start()
    print("READY", flush=True)
    await done.wait()
    await again(*hogs)
    flag.stop = True
    await asyncio.gather(*hogs)
    assert all(map(preempted, hogs))
    print("OK", flush=True)


run(main())
