"""Workers that compute: steps that last long, among others that do.

What they watch over is what a step owns while it runs - its task, its context, a lock, a generator - and that a
straight line of code is never entered by two.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
from collections.abc import AsyncGenerator
from typing import Any

from benchmarks.stress._flow import endless
from benchmarks.stress._shared import JOBS, VAR, Shared, Worker, checksum, compute


async def computes(shared: Shared, rng: random.Random) -> Any:
    """Run every job; the step stays this task's step in this task's context."""
    me, mark = asyncio.current_task(), rng.randint(0, 10**9)
    VAR.set(mark)
    out = []
    for job in rng.sample(JOBS, len(JOBS)):
        out.append(checksum(job, job(rng)))
        shared.plain += 1
        assert asyncio.current_task() is me
        assert VAR.get() == mark
        if rng.random() < 0.5:
            await asyncio.sleep(0)
    return out


async def straight_line(shared: Shared, rng: random.Random) -> Any:
    """Enter and leave without a call or a loop in between: nobody can ever be met inside."""
    for _ in range(30_000):
        shared.inside += 1
        if shared.inside != 1:
            shared.torn += 1
        shared.inside -= 1
        shared.plain += 1
    return compute(rng)


async def locks(shared: Shared, rng: random.Random) -> Any:
    """Read, compute, wait, write, all under an asyncio lock."""
    out = []
    for _ in range(4):
        async with shared.lock:
            seen = shared.locked
            out.append(compute(rng))
            await asyncio.sleep(0)
            shared.locked = seen + 1
    return out


async def mutexes(shared: Shared, rng: random.Random) -> Any:
    """Read, compute, write under a threading lock, which several tasks want."""
    out = []
    for _ in range(4):
        with shared.mutex:  # a preempted holder would be a deadlock: the lock rule is what this tries
            seen = shared.guarded
            out.append(compute(rng))
            shared.guarded = seen + 1
        await asyncio.sleep(0)
    return out


async def contexts(shared: Shared, rng: random.Random) -> Any:
    """Compute inside a copied context, and in a child that inherits one."""

    def inside(value: int) -> tuple[str, int]:
        VAR.set(value)
        crc = compute(rng)
        return crc, VAR.get()

    async def child() -> tuple[int, str]:
        inherited = VAR.get()
        VAR.set(0)
        return inherited, compute(rng)

    VAR.set(7)
    out = [contextvars.copy_context().run(inside, n) for n in range(3)]
    return out, VAR.get(), await shared.spawn(child()), VAR.get()


async def asyncgens(_shared: Shared, rng: random.Random) -> Any:
    """Iterate asynchronous generators, leave one in the middle, and note that it was closed."""
    log: list[Any] = []

    async def source(count: int) -> AsyncGenerator[str, None]:
        try:
            for _ in range(count):
                yield compute(rng)
                await asyncio.sleep(0)
        finally:
            log.append(compute(rng))

    async with contextlib.aclosing(source(9)) as left:
        async for n in left:
            log.append(n)
            if len(log) == 3:
                break
    return [n async for n in source(3)], log


async def limits(_shared: Shared, rng: random.Random) -> Any:
    """Meet the recursion limit again and again. Run last, alone with its copies."""
    return [checksum(endless, endless(rng)) for _ in range(40)]


WORKERS: tuple[Worker, ...] = (computes, straight_line, locks, mutexes, contexts, asyncgens)
