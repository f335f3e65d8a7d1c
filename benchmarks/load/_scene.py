"""What one process plays: the parent sends a Scene as its first line, the process answers with its last."""

from __future__ import annotations

import dataclasses
import itertools
import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

CONNECTIONS = 8
SIZE = 32
"""Bytes of a request and of its answer. A connection's whole run fits into its buffers, so that no send ever waits."""


@dataclasses.dataclass(frozen=True)
class Scene:
    """Who probes what beside whom, and how the process is to run it."""

    probe: str  # sleep or echo
    hogs: int
    kind: str
    count: int  # of a chunk
    chunks: int  # of a job
    due: Sequence[float]  # seconds from the start at which each arrival is intended
    how: str = ""  # the peer's own way, a word of its program
    base: str = "asyncio"
    slice: float | None = None
    connections: int = CONNECTIONS
    size: int = SIZE

    @classmethod
    def read(cls) -> Scene:
        """Read what the parent sent."""
        return cls(**json.loads(sys.stdin.readline()))


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Return the times of a Poisson process: what many independent clients amount to."""
    rng = random.Random(seed)
    at, times = 0.05, []
    while (at := at + rng.expovariate(rate)) < seconds:
        times.append(round(at, 6))
    return times


class Tally:
    """What the hogs got done, and since when."""

    def __init__(self) -> None:
        """Count from now."""
        self._chunks = itertools.count()
        self.note = self._chunks.__next__  # one instruction to all threads
        self.is_over = False
        self.start = time.perf_counter(), cpu_seconds()

    def end(self) -> dict[str, Any]:
        """Stop counting."""
        self.is_over = True
        wall, cpu = self.start
        return {"chunks": self.note(), "elapsed": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu}


def cpu_seconds() -> float:
    """Return the CPU time of this process and of a pool's processes, which have it in units of the kernel's clock."""
    total = time.process_time()
    for child in multiprocessing.active_children():
        with open(f"/proc/{child.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


class Walk:
    """The sleep probe without its sleep: which arrivals were due, and how late each was served.

    Each counts from its intended time, also when many came due while the loop stood still.
    """

    def __init__(self, due: Sequence[float]) -> None:
        """Start the clock."""
        self.due = due
        self.start = time.perf_counter()
        self.late: list[float] = []

    def serve(self) -> float | None:
        """Note all that are due; return the seconds until the next one, None if that was the last."""
        now = time.perf_counter() - self.start
        served = len(self.late)
        while served < len(self.due) and self.due[served] <= now:
            self.late.append(now - self.due[served])
            served += 1
        return self.due[served] - now if served < len(self.due) else None


def say(line: str) -> None:
    """Tell the parent something."""
    print(line, flush=True)


def answer(tally: dict[str, Any], late: Sequence[float] = ()) -> None:
    """Tell the parent the result and go: jobs in progress are nobody's concern any more."""
    say(json.dumps({"late": [round(each, 6) for each in late], **tally}))
    os._exit(0)
