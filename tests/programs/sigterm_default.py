"""SIGTERM with nobody to handle it ends the process at once, hogs or not.

Exit: -15
"""

import asyncio
import os
import signal

from _common import Flag, parked, run, spin

import preemptio


async def main():
    await parked(preemptio.go(spin, Flag()))
    asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), signal.SIGTERM)
    await asyncio.Event().wait()


run(main())
