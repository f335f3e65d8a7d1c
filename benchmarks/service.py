"""A FastAPI service: how late is /health at 200 requests/s while 8 clients keep a long computation busy?

uvicorn serves, in a process of its own, `_service_app.py`; the load comes from another (`_service_client.py`),
open-loop: latencies count from the time at which a check was to be sent. Four ways to compute are compared: in the
handler on a stock loop, in the handler on a preempted one, by `asyncio.to_thread`, and in a pool of processes, which
has the other cores as well. A long computation is CRUNCH seconds of pure Python. What more cores bring is seen by
`preempted, 2 workers`: two processes with a preempted loop each, by `uvicorn --workers 2`.

The 99th percentile is taken over windows of WINDOW seconds; the median of them is judged, the best and the worst are
printed, and so is how late the client itself was. The time for which the machine gave the CPU of the server, or of the
client, to somebody else is no doing of the server's, and is subtracted; the median with it is printed (`by the clock`).
`nothing beside` is the same without computations: what the machine and the server can do at best.

What the service loses when nothing computes is measured as `echo` does it: requests a second of /health, in turns, from
a client that is faster than the server.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks import _service_client
from benchmarks._driven import driven
from benchmarks._harness import Options, Promise, Row, Skipped, interleaved, percentile, ratio
from benchmarks._work import units_in
from benchmarks._worker import Side, WorkerError

RATE = 200.0
CRUNCHERS = 8
CRUNCH = 0.2
WINDOW = 5.0
CONNECTIONS = 16

PROMISES = (
    Promise("/health p99, preempted", "<=", 5.0, "ms"),
    Promise("failed requests, preempted", "<=", 0, ""),
    Promise("lost at SIGTERM, preempted", "<=", 0, ""),
    Promise("/health without load", ">=", 0.95, "x stock"),
    Promise("/health without load, a CPU second", ">=", 0.95, "x stock"),
)

WAYS = {"nothing beside": "", "stock": "loop", "to_thread": "thread", "process pool": "process", "preempted": "loop"}
WORKERS = 2
MANY = f"preempted, {WORKERS} workers"
WAYS[MANY] = "loop"


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the client saw of one server."""

    seen: list[tuple[float, float, float, float]]
    crunched: int
    failed: list[str]
    draining: int
    lost: int
    status: int
    ended: float


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def listens(server: subprocess.Popen[bytes], port: int) -> None:
    """Return when the server accepts connections."""
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise WorkerError("service: the server does not start") from None
            time.sleep(0.05)
        else:
            return


def load(way: str, loop: str, units: int, seconds: float) -> Seen:
    """Start a server, load it for some seconds, have it end, and return what the client saw."""
    port = free_port()
    factory = f"benchmarks._service_app:preempted_{loop}" if way.startswith("preempted") else loop
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "warning", "--loop", factory]
    command += ["--timeout-keep-alive", "600", "benchmarks._service_app:app"]
    if way == MANY:
        command += ["--workers", str(WORKERS)]
    environ = os.environ | {"HOW": WAYS[way], "UNITS": str(units), "PREEMPTIO_SLICE": "1ms"}
    server = subprocess.Popen(command, env=environ, start_new_session=True)
    try:
        listens(server, port)
        arguments = [_service_client.__file__, str(port), str(server.pid), str(RATE)]
        arguments += [str(CRUNCHERS if WAYS[way] else 0), str(seconds)]
        client = subprocess.run([sys.executable, "-I", *arguments], stdout=subprocess.PIPE, timeout=600, check=True)
        start = time.monotonic()
        status = server.wait(60)
    except (subprocess.SubprocessError, OSError) as error:
        raise WorkerError(f"service, {way} on {loop}: {error}") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)  # processes of its pool outlive it
        server.wait()
    return Seen(**json.loads(client.stdout), status=status, ended=time.monotonic() - start)


def measure(side: Side, seconds: float) -> tuple[float, float]:
    """Return requests a second of /health, and the server's share of the CPU, with no load beside."""
    return side.run(serve, seconds)  # type: ignore[no-any-return]


async def serve(seconds: float) -> tuple[float, float]:
    """Serve one client process until it ends."""
    import asyncio

    import uvicorn

    from benchmarks._service_app import app

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    answered = await driven(port, CONNECTIONS, seconds, "/health")
    server.should_exit = True
    await serving
    return answered


def rows_of(way: str, loop: str, seen: Seen, seconds: float) -> Iterator[Row]:
    """Make rows of what a client saw."""
    windows: dict[int, list[tuple[float, float]]] = {}
    for due, _, total, taken in seen.seen:
        windows.setdefault(int(due // WINDOW), []).append(((total - taken) * 1000, total * 1000))
    p99, by_the_clock = (
        [percentile([each[of] for each in window], 0.99) for window in windows.values()] for of in (0, 1)
    )
    took = [each[2] * 1000 for each in seen.seen]
    late = percentile([each[1] * 1000 for each in seen.seen], 0.99)
    note = (
        f"best {min(p99):.1f}, worst {max(p99):.1f} of {len(p99)} windows; "
        f"by the clock {statistics.median(by_the_clock):.1f}, p50 {statistics.median(took):.1f}, max {max(took):.1f}; "
        f"sent late p99 {late:.1f}; {seen.crunched} crunches"
    )
    yield Row(f"/health p99, {way}", loop, statistics.median(p99), note, "ms")
    note = f"of {len(took)} and {seen.crunched}" + (f": {seen.failed[0]}" if seen.failed else "")
    yield Row(f"failed requests, {way}", loop, len(seen.failed), note, "")
    lost = seen.lost + (seen.status not in (0, -signal.SIGTERM))
    yield Row(f"lost at SIGTERM, {way}", loop, lost, f"of {seen.draining}; status {seen.status}", "")
    if WAYS[way]:
        yield Row(f"computations, {way}", loop, seen.crunched / seconds, f"{CRUNCHERS} under way", "/s")


def run(opt: Options) -> Iterator[Row | Skipped]:
    """Compare the ways under load, then the loops without."""
    for name in ("fastapi", "uvicorn"):
        if importlib.util.find_spec(name) is None:
            yield Skipped("everything", f"{name} is not installed. Type: pip install 'preemptio[bench]'")
            return
    units = units_in(CRUNCH)
    for loop in opt.loops:
        for way in WAYS:
            seconds = opt.scale(60, 10) if way == "preempted" else opt.scale(20, 5)
            yield from rows_of(way, loop, load(way, loop, units, seconds), seconds)
        sides = {"preempted": Side("preempted", loop), "stock": Side("stock", loop)}
        params: dict[str, Any] = {"seconds": opt.scale(0.6, 0.4)}
        got = interleaved(__name__, sides, params, opt.rounds, turns=2 if opt.quick else 4)
        for name, per_cpu in (("/health without load", False), ("/health without load, a CPU second", True)):
            ours, theirs = ([rate / (share if per_cpu else 1) for rate, share in got[s]] for s in sides)
            value, note = ratio(ours, theirs)
            rates = f"{statistics.median(ours):.0f} against {statistics.median(theirs):.0f}/s"
            yield Row(name, loop, value, f"{rates}, {note}", "x stock")
