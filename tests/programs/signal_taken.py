"""Somebody takes the tick's signal while the loop runs: it is theirs from then on, and hogs are still preempted.

Exit: 0
"""

import asyncio
import os
import signal

from _common import a_hog_is_preempted, run

calls = []


def owner(*_):
    calls.append(1)


async def main():
    source = asyncio.get_running_loop()._ticker._source
    await a_hog_is_preempted()
    signal.signal(source.signum, owner)
    while asyncio.get_running_loop()._ticker._source is source:
        await asyncio.sleep(0.001)
    calls.clear()  # a tick or two were under way
    os.kill(os.getpid(), source.signum)
    await a_hog_is_preempted()
    assert signal.getsignal(source.signum) is owner
    return source.signum


signum = run(main())
assert signal.getsignal(signum) is owner
assert calls == [1]
print("OK")
