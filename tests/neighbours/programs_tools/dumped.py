"""Hogs beside faulthandler: dumps on SIGUSR1, and one from its watchdog thread, into the file that is named."""

import asyncio
import faulthandler
import os
import signal
import sys
from pathlib import Path

from _hogs import Flag, again, preempted, run, spin

import preemptio

DUMPS = 20


async def main(file):
    flag = Flag()
    faulthandler.register(signal.SIGUSR1, file=file, all_threads=True)
    faulthandler.dump_traceback_later(0.05, file=file)
    hogs = [preemptio.go(spin, flag) for _ in range(3)]
    for _ in range(DUMPS):
        await again(*hogs)
        os.kill(os.getpid(), signal.SIGUSR1)
    while "Timeout (" not in Path(sys.argv[2]).read_text():
        await again(*hogs)
    faulthandler.unregister(signal.SIGUSR1)
    flag.stop = True
    await asyncio.gather(*hogs)
    assert all(preempted(task) >= DUMPS for task in hogs)


def hog():
    """Be dumped in the middle of a computation."""
    task = asyncio.current_task()
    while preempted(task) < DUMPS:
        os.kill(os.getpid(), signal.SIGUSR1)
        for _ in range(5_000):
            pass


async def dumped_in_a_hog(file):
    faulthandler.register(signal.SIGUSR1, file=file, all_threads=True)
    other = preemptio.go(spin, flag := Flag())
    await preemptio.go(hog)
    flag.stop = True
    await other
    faulthandler.unregister(signal.SIGUSR1)


with open(sys.argv[2], "w") as file:
    run(main(file))
    run(dumped_in_a_hog(file))
print("OK")
