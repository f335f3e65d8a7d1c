"""Requests a second of a loopback echo server: what an I/O-bound service pays for preemption it never needs.

The client is a separate process with plain blocking sockets (`_echo_client.py`), so that the server's loop is what is
measured. It keeps CONNECTIONS requests in flight, enough to keep a server busy. A server that
still waits for its client hides its cost, and so does a neighbour on the machine: the same promise is therefore made a
second time for the requests that a second of the server's CPU time serves.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterator
from typing import cast

from benchmarks import _echo_client
from benchmarks._driven import driven
from benchmarks._harness import Options, Promise, Row, interleaved, ratio
from benchmarks._worker import Side

CONNECTIONS = 32
BOUNDS = {"asyncio": 0.97, "uvloop": 0.90}
VARIANTS = ("streams", "protocol")

PROMISES = tuple(
    Promise(name, ">=", bound, "x stock", (loop,))
    for loop, bound in BOUNDS.items()
    for variant in VARIANTS
    for name in (variant, f"{variant}, a CPU second")
)


class Echo(asyncio.Protocol):
    """The cheapest server there is: no task at all, so only the loop's turn can differ."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to write to."""
        self.write = cast(asyncio.Transport, transport).write

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self.write(data)


async def echo_streams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection in a task: two wake-ups a request, as in a service that reads and answers."""
    try:
        while True:
            writer.write(await reader.readexactly(_echo_client.SIZE))
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()


def measure(side: Side, variant: str, seconds: float) -> tuple[float, float]:
    """Return requests a second, and the share of the time that the server was on the CPU."""
    return side.run(serve, variant, seconds)  # type: ignore[no-any-return]


async def serve(variant: str, seconds: float) -> tuple[float, float]:
    """Serve one client process until it ends."""
    loop = asyncio.get_running_loop()
    if variant == "streams":
        server = await asyncio.start_server(echo_streams, "127.0.0.1", 0)
    else:
        server = await loop.create_server(Echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    answered = await driven(port, CONNECTIONS, seconds)
    server.close()
    await asyncio.sleep(0.01)  # the connections see their end
    return answered


def run(opt: Options) -> Iterator[Row]:
    """Pair each loop with its stock self."""
    for loop in opt.loops:
        sides = {"preempted": Side("preempted", loop), "stock": Side("stock", loop)}
        for variant in VARIANTS:
            params = {"variant": variant, "seconds": opt.scale(0.6, 0.25)}
            got = interleaved(__name__, sides, params, opt.rounds, turns=2 if opt.quick else 4)
            for name, per_cpu in ((variant, False), (f"{variant}, a CPU second", True)):
                ours, theirs = ([rate / (share if per_cpu else 1) for rate, share in got[s]] for s in sides)
                value, note = ratio(ours, theirs)
                busy = statistics.median(share for _, share in got["preempted"])
                rates = f"{statistics.median(ours):.0f} against {statistics.median(theirs):.0f}/s"
                yield Row(name, loop, value, f"{rates}, busy {busy:.0%}, {note}", "x stock")
