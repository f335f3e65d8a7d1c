"""Somebody takes the tick's signal while the loop runs: it is theirs from then on, and hogs are still preempted.

Exit: 0
"""

import asyncio
import os
import signal

from _common import Flag, parked, run, spin

import preemptio

calls = []


def owner(*_):
    calls.append(1)


async def hog_is_preempted():
    flag = Flag()
    hog = preemptio.go(spin, flag)
    await parked(hog)
    flag.stop = True
    assert await hog


async def main():
    source = asyncio.get_running_loop()._ticker._source
    await hog_is_preempted()
    signal.signal(source.signum, owner)
    while asyncio.get_running_loop()._ticker._source is source:
        await asyncio.sleep(0.001)
    calls.clear()  # a tick or two were under way
    os.kill(os.getpid(), source.signum)
    await hog_is_preempted()
    assert signal.getsignal(source.signum) is owner
    return source.signum


signum = run(main())
assert signal.getsignal(signum) is owner
assert calls == [1]
print("OK")
