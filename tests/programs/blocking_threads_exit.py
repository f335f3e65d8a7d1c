"""sys.exit() in a worker thread is the caller's, as if the task had called it: the program ends, with that status.

Exit: 3
"""

import sys

from _common import run

import preemptio


async def main():
    try:
        await preemptio.blocking(sys.exit, 3)
    finally:
        await preemptio.blocking(print, "others go on meanwhile")


run(main())
