"""The hazard is real: without preemption a thread lock held across an await stops everything.

PREEMPTIO_DEBUG=asyncpreemptoff=1
Exit: 1
"""

import asyncio
import faulthandler
import threading

from _common import run

faulthandler.dump_traceback_later(2, exit=True)
lock = threading.Lock()


async def holds():
    with lock:
        await asyncio.sleep(0.01)


async def main():
    await asyncio.gather(*[holds() for _ in range(2)])


run(main())
