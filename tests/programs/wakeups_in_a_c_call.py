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
    start = time.perf_counter()
    sum(range(1_000_000))
    second = int(1_000_000 / (time.perf_counter() - start))
    # From another process: no thread of this one can run during the call.
    sender = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.5; kill -USR2 {os.getpid()}"])
    sum(range(second))
    await told.wait()
    assert sender.wait() == 0


run(main())
print("OK")
