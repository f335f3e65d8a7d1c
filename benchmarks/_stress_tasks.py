"""The asynchronous half of the stress program: tasks that compute, wait, hand over, cancel and are cancelled.

Every worker's result depends on its seed only, never on who ran first: one consumer reads a queue, a
cancellation happens at a *logical* point (the child said that it got there), and what is shared is summed. So the
program gives the same results on a stock loop as on one that preempts it thousands of times a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from benchmarks._stress_cpu import JOBS, text

VAR: contextvars.ContextVar[int] = contextvars.ContextVar("VAR", default=-1)


class Shared:
    """What the workers of one run share, and a list of their tasks, whose preemptions are counted at the end."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[Any]] = []
        self.lock = asyncio.Lock()
        self.mutex = threading.Lock()
        self.plain = self.locked = self.guarded = 0
        self.inside = self.torn = 0
        self.port = 0

    def spawn(self, body: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task and keep it."""
        task = asyncio.create_task(body)
        self.tasks.append(task)
        return task


Worker = Callable[[Shared, random.Random], Coroutine[Any, Any, Any]]


def compute(rng: random.Random) -> int:
    """Run one job and reduce its result to a number."""
    return zlib.crc32(repr(rng.choice(JOBS)(rng)).encode())


async def computes(shared: Shared, rng: random.Random) -> Any:
    """Run every job; the step stays this task's step in this task's context."""
    me, mark = asyncio.current_task(), rng.randint(0, 10**9)
    VAR.set(mark)
    out = []
    for job in rng.sample(JOBS, len(JOBS)):
        out.append(job(rng))
        shared.plain += 1
        assert asyncio.current_task() is me
        assert VAR.get() == mark
        if rng.random() < 0.5:
            await asyncio.sleep(0)
    return out


async def straight_line(shared: Shared, rng: random.Random) -> Any:
    """Enter and leave without a call or a loop in between: nobody can ever be met inside."""
    for _ in range(3000):
        shared.inside += 1
        if shared.inside != 1:
            shared.torn += 1
        shared.inside -= 1
        shared.plain += 1
    return compute(rng)


async def locks(shared: Shared, rng: random.Random) -> Any:
    """Read, compute, write: under an asyncio lock with an await inside, under a threading lock without one."""
    out = []
    for _ in range(4):
        async with shared.lock:
            seen = shared.locked
            out.append(compute(rng))
            await asyncio.sleep(0)
            shared.locked = seen + 1
        with shared.mutex:
            seen = shared.guarded
            out.append(compute(rng))
            shared.guarded = seen + 1
    return out


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
        reached, log = asyncio.Event(), []
        task = shared.spawn(child(reached, log))
        await reached.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        out.append((log, task.cancelled()))
    return out


async def groups(shared: Shared, rng: random.Random) -> Any:
    """Fail one child of a task group: its sibling, which computes first, is cancelled at its await."""
    log = []

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
    queue: asyncio.Queue[int | None] = asyncio.Queue(2)

    async def consume() -> list[int]:
        out, own = [], random.Random(0)
        while (item := await queue.get()) is not None:
            out.append(item ^ compute(own))
        return out

    consumer = shared.spawn(consume())
    for _ in range(8):
        await queue.put(compute(rng))
    await queue.put(None)
    return await consumer


async def contexts(shared: Shared, rng: random.Random) -> Any:
    """Compute inside a copied context, and in a child that inherits one."""

    def inside(value: int) -> tuple[int, int]:
        VAR.set(value)
        crc = compute(rng)
        return crc, VAR.get()

    async def child() -> tuple[int, int]:
        inherited = VAR.get()
        VAR.set(0)
        return inherited, compute(rng)

    VAR.set(7)
    out = [contextvars.copy_context().run(inside, n) for n in range(3)]
    return out, VAR.get(), await shared.spawn(child()), VAR.get()


async def asyncgens(shared: Shared, rng: random.Random) -> Any:
    """Iterate asynchronous generators, leave one in the middle, and note that it was closed."""
    log: list[Any] = []

    async def source(count: int) -> AsyncIterator[int]:
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


async def deadlines(shared: Shared, rng: random.Random) -> Any:
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


WORKERS: tuple[Worker, ...] = (
    computes, straight_line, locks, echoes, cancels, groups, queues, contexts, asyncgens, deadlines
)  # fmt: skip
