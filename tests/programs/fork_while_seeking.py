"""fork while a search for a safe point is on: the child computes on, and never runs its parent's other tasks.

Uninjected: it is about searches, and their trace function
Exit: 0
"""

import asyncio
import os
import sys
import warnings

from _common import Flag, parked, run, spin

import preemptio

warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: fork with threads, such as faulthandler's
parent = os.getpid()


def forks(hog):
    with preemptio.nopreempt("until the search is on"):
        while sys.gettrace() is None:
            pass
        pid = os.fork()
        before = hog.g.slices
    n = 0
    for _ in range(1_000_000):
        n += 1  # a safe point for the parent; for the child it would be the end
    if pid == 0:
        os._exit(0 if hog.g.slices == before else 1)
    return pid


async def main():
    flag = Flag()
    hog = preemptio.go(spin, flag)
    await parked(hog)
    pid = await preemptio.go(forks, hog)
    assert os.getpid() == parent, "the child runs its parent's loop"
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status
    flag.stop = True
    assert await hog


run(main())
print("OK")
