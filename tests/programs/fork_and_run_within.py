"""A child that is forked in the middle of a step has a loop of its own, with the same source of ticks.

Exit: 0
"""

import asyncio
import os
import warnings

from _common import Flag, a_hog_is_preempted, parked, run, spin

import preemptio

warnings.simplefilter("ignore", DeprecationWarning)


async def preempts():
    await a_hog_is_preempted()
    return asyncio.get_running_loop()._ticker.source


def forks(source):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = run(preempts()) != source
        finally:
            os._exit(code)
    return pid


async def main():
    source = await preempts()
    hog = preemptio.go(spin, flag := Flag())
    await parked(hog)
    pid = await preemptio.go(forks, source)
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status
    assert await preempts() == source
    flag.stop = True
    await hog


run(main())
print("OK")
