"""SIGTERM with add_signal_handler beside a hog: the handler runs at once, and the program ends in order.

Exit: 0
"""

import asyncio
import os
import signal

from _common import Flag, parked, run, spin

import preemptio


async def main():
    flag, told = Flag(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    hogs = [preemptio.go(spin, flag) for _ in range(3)]
    await parked(*hogs)
    os.kill(os.getpid(), signal.SIGTERM)
    await told.wait()
    assert not any(hog.done() for hog in hogs)
    flag.stop = True
    assert all(await asyncio.gather(*hogs))


run(main())
print("OK")
