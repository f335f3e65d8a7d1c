"""A server's loop, driven by `_echo_client.py` in a process of its own: requests a second, and how busy it was."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

from benchmarks import _echo_client
from benchmarks._work import Spent, now


async def driven(port: int, connections: int, seconds: float, *more: str) -> tuple[float, float]:
    """Drive the server that this loop runs at `port`; return requests a second, and its share of the CPU."""
    loop = asyncio.get_running_loop()
    arguments = [port, connections, seconds, *more]
    client = subprocess.Popen(
        [sys.executable, "-I", "-S", _echo_client.__file__, *map(str, arguments)], stdout=subprocess.PIPE
    )
    # the client's first line says that it starts, its second what it got
    assert client.stdout is not None
    pipe = client.stdout.fileno()
    lines: list[tuple[bytes, Spent]] = []
    ended = loop.create_future()

    os.set_blocking(pipe, False)

    def read() -> None:
        try:
            data = os.read(pipe, 100)
        except BlockingIOError:
            return
        lines.append((data, now()))
        if not data:
            loop.remove_reader(pipe)
            ended.set_result(None)

    loop.add_reader(pipe, read)
    await ended
    client.wait()
    client.stdout.close()
    if len(lines) != 3:
        raise RuntimeError(f"the client failed: {lines}")
    (_, (wall, cpu)), (answer, (wall_end, cpu_end)), _ = lines
    return float(answer), (cpu_end - cpu) / (wall_end - wall)
