"""fork in a step of a loop that the monitor watches: the child has no second thread and nothing asked of it, and may
run a loop of its own; the parent goes on preempting.

Exit: 0
"""

import asyncio
import os
import sys
import threading
import warnings

from _common import Flag, parked, preempted, rounds, run, spin

import preemptio
from preemptio._preempt._monitor import REQUESTS

warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: fork with threads


async def child():
    flag = Flag()
    hog = preemptio.go(spin, flag)
    await parked(hog)
    flag.stop = True
    return await hog


def forks():
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            assert not REQUESTS._asked
            assert REQUESTS._tool == -1
            assert sys.getswitchinterval() > 0.001
            for _ in range(rounds(1_000_000)):
                preemptio.checkpoint()
            thread = threading.Thread(target=lambda: results.append(run(child())))
            results = []
            thread.start()
            thread.join()
            code = 0 if results else 2
        finally:
            os._exit(code)
    for _ in range(rounds(1_000_000)):
        pass
    return pid


async def main():
    flag = Flag()
    hog = preemptio.go(spin, flag)
    await parked(hog)
    for _ in range(3):
        pid = await preemptio.go(forks)
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, status
    before = preempted(hog)
    while preempted(hog) < before + 3:
        await preemptio.go(lambda: None)
    flag.stop = True
    assert await hog
    done.append(1)


done = []
if hasattr(sys, "monitoring"):
    thread = threading.Thread(target=lambda: run(main()))
    thread.start()
    thread.join()
    assert done
print("OK")
