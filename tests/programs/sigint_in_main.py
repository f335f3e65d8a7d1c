"""Ctrl-C while main itself computes and never awaits: the second one ends it, as in asyncio.

Exit: 0
"""

import os
import signal

from _common import rounds, run

ended = []


async def main():
    n = 0
    try:
        while True:
            n += 1
            if n % rounds(500_000) == 0:
                os.kill(os.getpid(), signal.SIGINT)
    finally:
        ended.append(n)


try:
    run(main())
except KeyboardInterrupt:
    assert ended, ended
    print("OK")
