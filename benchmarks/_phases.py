"""The program whose instructions are counted (`instructions.py`): phases with a mark between them.

    valgrind --tool=callgrind --dump-before=getppid python -m benchmarks._phases SIDE

The mark is a call of libc's getppid, which is a name that valgrind finds in every build of Python and that nothing else
calls. Each phase is done `ONCE` and twice as often: the difference has nothing in it that is done once.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Awaitable, Callable

from benchmarks._worker import Side

ONCE = 500
REPEATS = 3


async def step(count: int) -> None:
    """Take steps, alone."""
    for _ in range(count):
        await asyncio.sleep(0)


async def ready(count: int) -> None:
    """Take steps, a hundred tasks at a time."""
    await asyncio.gather(*[step(count // 100) for _ in range(100)])


async def execute(count: int) -> None:
    """Start tasks that do nothing, and await each."""
    for _ in range(count):
        await asyncio.create_task(nothing())


async def nothing() -> None:
    """Do nothing."""


async def callback(count: int) -> None:
    """Have plain callbacks called, which are no steps: what a protocol's data costs."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def call(left: int) -> None:
        if left:
            loop.call_soon(call, left - 1)
        else:
            done.set_result(None)

    loop.call_soon(call, count)
    await done


async def checkpoint(count: int) -> None:
    """Offer to give way, when nobody is waiting."""
    import preemptio

    offer = preemptio.checkpoint
    for _ in range(count):
        offer()


async def wait(count: int) -> None:
    """Wait in a plain function."""
    import preemptio

    def waits() -> None:
        for _ in range(count):
            preemptio.wait(asyncio.sleep(0))

    await preemptio.go(waits)


PHASES: dict[str, Callable[[int], Awaitable[None]]] = {
    "step": step,
    "ready": ready,
    "execute": execute,
    "callback": callback,
    "checkpoint": checkpoint,
    "wait": wait,
}
"""In the order in which they are counted."""

OURS = ("checkpoint", "wait")
"""Those that only a preempted loop has."""


def phases_of(kind: str) -> list[str]:
    """Return the phases that a side runs."""
    return [name for name in PHASES if kind == "preempted" or name not in OURS]


async def run_phases(kind: str) -> None:
    """Run each phase, with a mark before, between and behind."""
    gc.disable()
    for name in phases_of(kind):
        await PHASES[name](ONCE)  # the interpreter specialises on the way
    for _ in range(REPEATS):
        for name in phases_of(kind):
            phase = PHASES[name]
            os.getppid()
            await phase(ONCE)
            os.getppid()
            await phase(2 * ONCE)
            os.getppid()


if __name__ == "__main__":
    side = Side(**json.loads(sys.argv[1]))
    side.run(run_phases, side.kind)
