"""The load of the benchmark `service`, in plain asyncio and a process of its own. It prints what it saw as JSON.

Problem: a client that waits for an answer before it asks again asks less while the server is slow, and so does not see
how slow it is (coordinated omission).
What we do: health checks have a time at which they are to be sent, whatever has become of those before, and their
latency counts from that time. How late they really were sent is noted as well: the client's share, and the machine's.
Beside a neighbour the kernel takes the CPU from the server, which is never idle, for milliseconds at a time, and
from this process, too. It says for how long a process was ready and did not run; the longer of the two times is noted
with each check.
Other clients keep a long request each under way. At the end of the time no more is sent, and the server gets
SIGTERM while long requests are under way: each of them is owed an answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time

PATIENCE = {"/health": 10.0, "/crunch": 60.0}
"""Seconds after which an answer does not help any more, and counts as failed."""


def kept_waiting(pid: int | str) -> float:
    """Return for how many seconds a process was ready and did not run: its main thread, where the kernel says."""
    try:
        with open(f"/proc/{pid}/schedstat", "rb") as file:
            return int(file.read().split()[1]) / 1e9
    except OSError:
        return 0.0


class Clients:
    """Connections to one port, used again and again, and what went wrong on them."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.failed: list[str] = []

    async def get(self, path: str) -> bool:
        """Ask for a path; report whether it was answered well."""
        try:
            async with asyncio.timeout(PATIENCE[path]):
                connection = self.idle.pop() if self.idle else await asyncio.open_connection("127.0.0.1", self.port)
                reader, writer = connection
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self.failed.append(f"{path}: {error!r}")
            return False
        self.idle.append(connection)
        if not head.startswith(b"http/1.1 200"):
            self.failed.append(f"{path}: {head.splitlines()[0].decode()}")
            return False
        return True


async def checks(
    clients: Clients, rate: float, seconds: float, pid: int | str
) -> list[tuple[float, float, float, float]]:
    """Check the health at a rate.

    Returns, for each check, when it was to be sent, how late it was, how long it took from when it was to be sent, and
    for how much of that the machine kept the server waiting, or this process. Seconds.
    """
    start = time.perf_counter()
    seen: list[tuple[float, float, float, float]] = []

    async def check(due: float, before: tuple[float, float]) -> None:
        late = time.perf_counter() - due
        await clients.get("/health")
        took = time.perf_counter() - due
        taken = max(kept_waiting(who) - was for who, was in zip((pid, "self"), before, strict=True))
        seen.append((due - start, late, took, taken))

    async with asyncio.TaskGroup() as group:
        for n in range(int(rate * seconds)):
            due = start + n / rate
            before = kept_waiting(pid), kept_waiting("self")
            await asyncio.sleep(due - time.perf_counter())
            group.create_task(check(due, before))
    return seen


async def main(port: int, pid: int, rate: float, crunchers: int, seconds: float) -> None:
    """Load the server, then ask it to end."""
    clients = Clients(port)
    under_way, done, ending = 0, 0, False

    async def cruncher() -> None:
        nonlocal under_way, done
        while not ending:
            under_way += 1
            answered = await clients.get("/crunch")
            under_way -= 1
            done += answered

    async with asyncio.TaskGroup() as group:
        for _ in range(crunchers):
            group.create_task(cruncher())
        await asyncio.sleep(0.5)
        seen = await checks(clients, rate, seconds, pid)
        crunched, ending = done, True
        await asyncio.sleep(0.1)  # what was sent last is read
        failed, draining = len(clients.failed), under_way
        os.kill(pid, signal.SIGTERM)
    lost = len(clients.failed) - failed
    print(
        json.dumps(
            {
                "seen": seen,
                "crunched": crunched,
                "failed": clients.failed[:failed],
                "draining": draining,
                "lost": lost,
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])))
