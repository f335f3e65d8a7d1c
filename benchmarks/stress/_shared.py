"""What the stress program's workers share, and the one job that they all run.

Every worker's result depends on its seed only, never on who ran first: one consumer reads a queue, a
cancellation happens at a *logical* point (the child said that it got there), and what is shared is summed. So the
program gives the same results on a stock loop as on one that preempts it thousands of times a second.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import threading
import zlib
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.stress import _data, _flow

JOBS = _flow.JOBS + _data.JOBS

VAR: contextvars.ContextVar[int] = contextvars.ContextVar("VAR", default=-1)


class Shared:
    """One run's state. Its tasks are kept, as their preemptions are counted at the end."""

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


def compute(rng: random.Random) -> str:
    """Run one job; reduce its result to the job's name and a checksum, so that a difference names the job."""
    job = rng.choice(JOBS)
    return checksum(job, job(rng))


def checksum(job: Callable[..., Any], result: Any) -> str:
    """Reduce a job's result."""
    return f"{job.__name__} {zlib.crc32(repr(result).encode()):08x}"
