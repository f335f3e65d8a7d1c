"""A C call longer than 278 ticks does not lose a SIGUSR2 that comes near its end.

PREEMPTIO_SLICE=200us
Exit: 0
"""

import asyncio
import os
import signal
import subprocess
import time

from _common import run


async def main():
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, told.set)
    await asyncio.sleep(0)
    rounds = 20_000_000
    while True:
        # From another process: no thread of this one can run during the call.
        sender = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.3; kill -USR2 {os.getpid()}"])
        await asyncio.sleep(0)
        for _ in range(100_000):  # preempted here, so that ticks come at their shortest period again
            pass
        start = time.monotonic()
        sum(range(rounds))
        seconds = time.monotonic() - start
        await told.wait()
        sender.wait()
        if seconds > 0.8:  # it came in the middle of the call
            break
        told.clear()
        rounds *= 2


run(main())
print("OK")
