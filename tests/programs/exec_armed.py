"""exec in the middle of a step, with the timer armed: the new program is not killed by a tick.

Exit: 0
"""

import os
import sys

from _common import Flag, parked, rounds, run, spin

import preemptio

PROGRAM = """
import time
end = time.monotonic() + 0.2
while time.monotonic() < end:
    pass
print("OK")
"""


def leave():
    for _ in range(rounds(300_000)):  # so that the timer is armed for sure
        pass
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-c", PROGRAM])


async def main():
    hog = preemptio.go(spin, Flag())
    await parked(hog)
    await preemptio.go(leave)


run(main())
