"""The hogs - CPU-bound user code, the same for every side that is compared - and the ticker beside them.

The hog is what a service has by accident: a pure Python loop that calls small functions and never awaits.
It lives in a module of its own, beside the benchmarks, because *whose code runs* decides whether a step may be
preempted: this is the user's code, under neither the standard library nor site-packages.

Work is counted in units, never in seconds: a hog that stops at a deadline would do less when it is
preempted, and the throughput that was lost would not show.
"""

from __future__ import annotations

import asyncio
import time

UNIT = 1_000
"""Calls in one unit: 30 to 100 us, well under any slice, so that a hog's end is not a unit's length late."""


def mix(x: int, i: int) -> int:
    """Do one function call's worth of work."""
    return (x * 31 + i) & 0xFFFF


def unit(x: int) -> int:
    """Run one unit of pure computation."""
    for i in range(UNIT):
        x = mix(x, i)
    return x


def spin(units: int) -> int:
    """Run `units` units with no loop around: the bare throughput, and a thread's body."""
    x = 1
    for _ in range(units):
        x = unit(x)
    return x


async def hog(units: int) -> int:
    """Run `units` units in a coroutine that never awaits: the same statements as `spin`."""
    x = 1
    for _ in range(units):
        x = unit(x)
    return x


def units_in(seconds: float) -> int:
    """Return how many units fill `seconds` here: the best of five, as noise only ever slows."""
    count = 100
    best = float("inf")
    spin(count)  # the interpreter specialises on the way
    for _ in range(5):
        start = time.perf_counter()
        spin(count)
        best = min(best, time.perf_counter() - start)
    return max(1, round(seconds * count / best))


Spent = tuple[float, float]
"""Seconds of the wall clock, and seconds of the process's CPU time."""


def now() -> Spent:
    """Read both clocks."""
    return time.perf_counter(), time.process_time()


def since(start: Spent) -> Spent:
    """Return what was spent from `start` until now."""
    return time.perf_counter() - start[0], time.process_time() - start[1]


Late = tuple[float, float]
"""How late a wake-up was, and for how long the machine had the process off the CPU meanwhile. Seconds."""


async def tick(period: float, late: list[Late], stop: asyncio.Event) -> None:
    """Sleep again and again, and note how late each wake-up was.

    Beside hogs the process is never idle, so the time that it did not spend on the CPU was taken by the machine.
    """
    while not stop.is_set():
        start = now()
        await asyncio.sleep(period)
        wall, cpu = since(start)
        late.append((wall - period, max(0.0, wall - cpu)))
