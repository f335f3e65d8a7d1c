"""fork in the middle of a step: the child has no tick and may compute; the parent goes on preempting.

Exit: 0
"""

import asyncio
import os
import signal
import warnings

from _common import Flag, parked, preempted, rounds, run, spin

import preemptio

warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: fork with threads, such as faulthandler's


def forks():
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
            for _ in range(rounds(2_000_000)):
                preemptio.checkpoint()
            code = 0
        finally:
            os._exit(code)
    for _ in range(rounds(1_000_000)):
        pass
    return pid


async def main():
    flag = Flag()
    hog = preemptio.go(spin, flag)
    await parked(hog)
    pid = await preemptio.go(forks)
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status
    before = preempted(hog)
    while preempted(hog) < before + 3:
        await preemptio.go(lambda: None)
    flag.stop = True
    assert await hog


run(main())
print("OK")
