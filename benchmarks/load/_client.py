"""The echo probe's client: sends at the intended times whatever has been answered, in a process that does only this."""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Sequence

from benchmarks._worker import WorkerError


def drive(port: int, connections: int, size: int, due: Sequence[float], patience: float) -> tuple[list[float], float]:
    """Send every request; return each answer's time since its intended time, and the 99th percentile of late sends.

    Args:
        port: Where the server is.
        connections: Over how many connections the requests go, in turns.
        size: Bytes of a request.
        due: Seconds from the start at which each is intended.
        patience: Seconds that may pass without an answer.
    """
    socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    for sock in socks:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        _await_start(socks, patience)
        return _exchange(socks, b"x" * size, due, patience)
    finally:
        for sock in socks:
            sock.close()


def _await_start(socks: list[socket.socket], patience: float) -> None:
    """Wait until the server says on one of the connections that its hogs have begun."""
    readable = select.select(socks, [], [], patience)[0]
    if not readable or readable[0].recv(1) != b"!":
        raise WorkerError("the echo server did not begin")


def _exchange(
    socks: list[socket.socket], message: bytes, due: Sequence[float], patience: float
) -> tuple[list[float], float]:
    waiting: dict[socket.socket, deque[float]] = {sock: deque() for sock in socks}
    partial = dict.fromkeys(socks, 0)
    took: list[float] = []
    sent_late: list[float] = []
    start = last = time.perf_counter()
    while len(took) < len(due):
        now = time.perf_counter()
        while len(sent_late) < len(due) and start + due[len(sent_late)] <= now:
            intended = start + due[len(sent_late)]
            sock = socks[len(sent_late) % len(socks)]
            sock.sendall(message)
            waiting[sock].append(intended)
            sent_late.append(time.perf_counter() - intended)
        until = start + due[len(sent_late)] - now if len(sent_late) < len(due) else 1.0
        for sock in select.select(socks, [], [], max(0.0, until))[0]:
            data = sock.recv(65536)
            last = time.perf_counter()
            if not data:
                raise WorkerError("the echo server closed a connection")
            answers, partial[sock] = divmod(partial[sock] + len(data), len(message))
            took.extend(last - waiting[sock].popleft() for _ in range(answers))
        if time.perf_counter() - last > patience:
            raise WorkerError(f"no answer for {patience:.0f} s")
    return took, sorted(sent_late)[int(len(sent_late) * 0.99)]
