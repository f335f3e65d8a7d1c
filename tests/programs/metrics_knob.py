"""The knob alone has the loop measured, though the program imports no `runtime` before it runs.

PREEMPTIO_METRICS=1
Exit: 0
"""

import asyncio

from _common import run

from preemptio._observe._table import EVERY


async def main():
    for _ in range(3 * EVERY):
        await asyncio.sleep(0)
    from preemptio import runtime

    assert runtime.metrics().run.count >= 2
    print("OK")


run(main())
