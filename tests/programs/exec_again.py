"""exec again and again under short slices: no tick that is under way at that moment kills the next program.

The kernel may have a signal ready that the old program has no time to take: it meets the new one, without a handler.

Exit: 0
"""

import os
import sys

from _common import Flag, parked, rounds, run, spin

import preemptio

TIMES = 20
left = int(sys.argv[2]) if len(sys.argv) > 2 else TIMES


def leave():
    for _ in range(rounds(20_000)):  # so that the timer is armed for sure
        pass
    os.execv(sys.executable, [sys.executable, __file__, sys.argv[1], str(left - 1)])


async def main():
    hog = preemptio.go(spin, Flag())
    await parked(hog)
    await preemptio.go(leave)


if left:
    preemptio.config.slice = 0.0001
    run(main())
else:
    print("OK")
