"""Workers that wait: for a socket, a queue, a child, a timer, a thread - and for a cancellation.

Each computes before, between and after, so that what it waits for often comes while it is parked in mid-step.
A wake-up that is lost shows as a program that never ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

from benchmarks.stress._data import text
from benchmarks.stress._shared import Shared, Worker, compute


async def echoes(shared: Shared, rng: random.Random) -> Any:
    """Talk to the program's own server over loopback; both ends compute."""
    reader, writer = await asyncio.open_connection("127.0.0.1", shared.port)
    out = []
    for _ in range(4):
        message = repr(text(rng)).encode()
        writer.write(len(message).to_bytes(4) + message)
        await writer.drain()
        answer = await reader.readexactly(len(message))
        assert answer == bytes(reversed(message))
        out.append(int.from_bytes(await reader.readexactly(4)))
    writer.close()
    await writer.wait_closed()
    return out


async def answer_reversed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection of `echoes`: the message backwards, and its checksum byte by byte."""
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            message = await reader.readexactly(int.from_bytes(await reader.readexactly(4)))
            total = 0
            for byte in message:
                total = (total * 31 + byte) & 0xFFFFFFFF
            writer.write(bytes(reversed(message)) + total.to_bytes(4))
            await writer.drain()
    writer.close()


async def cancels(shared: Shared, rng: random.Random) -> Any:
    """Cancel a child that said it is past its first phase, whether it computes or waits by then."""
    out = []

    async def child(reached: asyncio.Event, log: list[Any]) -> None:
        log.append(compute(rng))
        reached.set()
        try:
            log.append(compute(rng))  # the cancellation may come while this runs, and waits for the await
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            log.append(compute(rng))
            raise

    for _ in range(4):
        reached = asyncio.Event()
        log: list[Any] = []
        task = shared.spawn(child(reached, log))
        await reached.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        out.append((log, task.cancelled()))
    return out


async def groups(shared: Shared, rng: random.Random) -> Any:
    """Fail one child of a task group: its sibling, which computes first, is cancelled at its await."""
    log: list[Any] = []

    async def sibling(started: asyncio.Event, own: random.Random) -> None:
        started.set()
        log.append(compute(own))
        await asyncio.sleep(3600)

    async def fail(started: asyncio.Event) -> None:
        await started.wait()
        raise LookupError

    for _ in range(3):
        started = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                shared.tasks.append(group.create_task(sibling(started, random.Random(rng.random()))))
                shared.tasks.append(group.create_task(fail(started)))
        except* LookupError as errors:
            log.append(repr(errors.exceptions))
    return log


async def queues(shared: Shared, rng: random.Random) -> Any:
    """Hand computed items over a bounded queue to a consumer that computes too."""
    queue: asyncio.Queue[str | None] = asyncio.Queue(2)

    async def consume() -> list[tuple[str, str]]:
        out, own = [], random.Random(0)
        while (item := await queue.get()) is not None:
            out.append((item, compute(own)))
        return out

    consumer = shared.spawn(consume())
    for _ in range(8):
        await queue.put(compute(rng))
    await queue.put(None)
    return await consumer


async def deadlines(_shared: Shared, rng: random.Random) -> Any:
    """Let timeouts end waits that nothing else would end, between computations."""
    out = []
    for _ in range(4):
        out.append(compute(rng))
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(3600)
        except TimeoutError:
            out.append(compute(rng))
    out.append(await asyncio.to_thread(compute, rng))
    return out


WORKERS: tuple[Worker, ...] = (echoes, cancels, groups, queues, deadlines)
