"""Hogs beside faulthandler: dumps on SIGUSR1 into the file that is named.

Raised in the thread itself: a dump that comes from outside may meet CPython half-way out of a frame, and then crashes.
"""

import asyncio
import faulthandler
import signal
import sys

from _hogs import Flag, again, preempted, run, spin

import preemptio

DUMPS = 20


async def main(file):
    flag = Flag()
    faulthandler.register(signal.SIGUSR1, file=file, all_threads=True)
    hogs = [preemptio.go(spin, flag) for _ in range(3)]
    for _ in range(DUMPS):
        await again(*hogs)
        signal.raise_signal(signal.SIGUSR1)
    faulthandler.unregister(signal.SIGUSR1)
    flag.stop = True
    await asyncio.gather(*hogs)
    assert all(preempted(task) >= DUMPS for task in hogs)


def hog():
    """Be dumped in the middle of a computation."""
    task = asyncio.current_task()
    while preempted(task) < DUMPS:
        signal.raise_signal(signal.SIGUSR1)
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
