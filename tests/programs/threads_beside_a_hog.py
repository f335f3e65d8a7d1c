"""A thread that needs the GIL now and then is not starved by a loop that polls between the slices of a hog.

Exit: 0
"""

import asyncio
import sys

from _common import Flag, parked, run, spin

import preemptio

before = sys.getswitchinterval()


async def answer():
    return 42


async def main():
    loop = asyncio.get_running_loop()
    flag = Flag()
    hogs = [preemptio.go(spin, flag) for _ in range(2)]
    await parked(*hogs)

    def asks():
        return [asyncio.run_coroutine_threadsafe(answer(), loop).result() for _ in range(1_000)]

    assert await asyncio.to_thread(asks) == [42] * 1_000
    flag.stop = True
    await asyncio.gather(*hogs)


run(main())
assert sys.getswitchinterval() == before, sys.getswitchinterval()
print("OK")
