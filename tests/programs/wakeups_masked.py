"""300 ticks in a nopreempt region fill no pipe: a SIGUSR2 that comes behind them still reaches its handler.

PREEMPTIO_SLICE=200us
Exit: 0
"""

import asyncio
import os
import signal

from _common import run

import preemptio
from preemptio.lowlevel import Verdict


async def main():
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, told.set)
    await asyncio.sleep(0)
    refusals = asyncio.current_task().g.refusals
    with preemptio.nopreempt("300 ticks"):
        while asyncio.current_task().g.refusals.get(Verdict.MASKED, 0) < 300:
            pass
        os.kill(os.getpid(), signal.SIGUSR2)
    await told.wait()
    assert refusals is not None


run(main())
print("OK")
