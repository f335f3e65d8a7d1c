"""The demo's server: health checks, a heart, and requests that compute, in one process on one thread.

It is written as such a service is written: the handler of /crunch calls a plain function that computes for a while,
and nothing in it knows about preemption. Plain and preempted are this file with two event loops. The safe-point
rules take what is under `_cli/` for the user's code, so it is treated as any program would be.

Beats and lateness. A beat is due every PERIOD seconds of a schedule that does not wait: after a freeze of a second,
a hundred beats are late, each by its own time. Counting one late beat instead would hide the freeze in the median.

    python -m preemptio._cli._demo_app plain|preempted asyncio|uvloop SLICE POINTS

The first line on standard output is the port; the server ends when /stop was answered or its standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import random
import sys
import time

from preemptio._aio._loops import Loop, asyncio_base, new_event_loop, uvloop_class
from preemptio._config import config

PERIOD = 0.010

CRUNCH = 0.4
"""Seconds that a /crunch request computes for on this machine, when it is alone."""

Point = tuple[float, float]


# The work: k-means, in pure Python.


def scatter(count: int, seed: int) -> list[Point]:
    """Generate points around eight places."""
    rng = random.Random(seed)  # noqa: S311 - sample data
    places = [(rng.uniform(0, 100), rng.uniform(0, 100)) for _ in range(8)]
    return [(rng.gauss(x, 4.0), rng.gauss(y, 4.0)) for x, y in rng.choices(places, k=count)]


def nearest(point: Point, centers: list[Point]) -> int:
    """Return the index of the center that a point is nearest to."""
    x, y = point
    best, shortest = 0, math.inf
    for index, (cx, cy) in enumerate(centers):
        distance = (x - cx) * (x - cx) + (y - cy) * (y - cy)
        if distance < shortest:
            best, shortest = index, distance
    return best


def cluster(count: int, seed: int = 1, rounds: int = 6) -> list[Point]:
    """Find the eight places again."""
    points = scatter(count, seed)
    centers = points[:8]
    for _ in range(rounds):
        sums = [[0.0, 0.0, 0.0] for _ in centers]
        for point in points:
            group = sums[nearest(point, centers)]
            group[0] += point[0]
            group[1] += point[1]
            group[2] += 1
        centers = [(x / n, y / n) if n else center for (x, y, n), center in zip(sums, centers, strict=True)]
    return centers


def points_for(seconds: float) -> int:
    """Return how many points `cluster` takes about this long for; the best of five, as noise only ever slows."""
    best, count = math.inf, 400
    for _ in range(5):
        start = time.perf_counter()
        cluster(count)
        best = min(best, time.perf_counter() - start)
    return max(50, round(count * seconds / best))


# The service.


class Service:
    """Answers HTTP requests, and beats."""

    def __init__(self, points: int) -> None:
        self.points = points
        self.requests = 0
        self.late: list[float] = []
        self.stopped = asyncio.Event()

    async def beat(self) -> None:
        """Note, for each beat, how long after its time it came."""
        due = time.perf_counter() + PERIOD
        while True:
            await asyncio.sleep(due - time.perf_counter())
            now = time.perf_counter()
            while due <= now:
                self.late.append(now - due)
                due += PERIOD

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            status, body = self.answer(head.split()[1].decode())
            text = json.dumps(body).encode()
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode())
            writer.write(text)
            await writer.drain()
        writer.close()

    def answer(self, path: str) -> tuple[str, object]:
        """Return the status and the body for a path."""
        self.requests += 1
        if path == "/health":
            return "200 OK", {"ok": True}
        if path == "/crunch":
            return "200 OK", {"centers": cluster(self.points, self.requests)}
        if path == "/begin":
            self.late.clear()
            return "200 OK", {}
        if path == "/stop":
            self.stopped.set()
            return "200 OK", {"late": self.late}
        return "404 Not Found", {"known": ["/health", "/crunch"]}


async def serve(points: int) -> None:
    """Serve until told to stop."""
    service = Service(points)
    server = await asyncio.start_server(service.handle, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    os.dup2(2, 1)  # nobody reads on; what else is printed, a warning for one, must not fill the pipe
    with contextlib.suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().add_reader(0, service.stopped.set)  # the parent is gone
    heart = asyncio.create_task(service.beat(), name="heart")
    await service.stopped.wait()
    heart.cancel()
    server.close()


def main(mode: str, loop: str, slice_: str, points: str) -> None:
    """Serve on a plain or a preempted loop of the same base."""
    base: type[Loop] = (uvloop_class() if loop == "uvloop" else None) or asyncio_base()
    config.slice = float(slice_)
    factory = base if mode == "plain" else lambda: new_event_loop(base)
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(int(points)))


if __name__ == "__main__":
    main(*sys.argv[1:])
