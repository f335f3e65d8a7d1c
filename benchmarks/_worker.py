"""One side of a comparison in a process of its own, and the parent's handle on it.

The process runs `_serve.py`. A request is a line of JSON, the arguments of the benchmark module's
`measure(side, **arguments)`; so is the reply. The stock side never imports preemptio: a library that patches asyncio at
import would otherwise be compared with itself.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal

PATIENCE = 120.0
"""Seconds that one measurement may take before it counts as hung. The longest takes under ten."""


class WorkerError(Exception):
    """A side crashed, hung or raised."""


@dataclasses.dataclass(frozen=True)
class Side:
    """What runs in one worker process: a stock loop (its hogs in threads, or not), a preempted one, or none."""

    kind: Literal["stock", "threads", "preempted", "bare"]
    base: str = "asyncio"
    slice: float | None = None  # seconds; None: the slice that users have who set nothing
    metrics: bool = False  # whether the preempted loop measures
    source: str | None = None  # where the preempted loop's tick comes from; None: as the library chooses

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Build the loop that this side is about."""
        base: type[asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop
        if self.base == "uvloop":
            import uvloop

            base = uvloop.Loop
        if self.kind != "preempted":
            return base()
        import preemptio

        if self.slice is not None:
            preemptio.config.slice = self.slice
        preemptio.config.metrics = int(self.metrics)
        if self.source is not None:
            preemptio.config.source = self.source
        return preemptio.new_event_loop(base)

    def run(self, main: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
        """Run a coroutine function on this side's loop, which stays open between calls."""
        if not open_runner:
            open_runner.append(asyncio.Runner(loop_factory=self.new_event_loop))
            open_runner[0].get_loop()  # a loop that cannot be built must not leave a coroutine behind
        return open_runner[0].run(main(*args))


open_runner: list[asyncio.Runner] = []
"""The one runner of a worker process, once it has one. `_serve.py` closes it."""


class Worker:
    """The parent's end of one worker process."""

    def __init__(self, bench: str, side: Side, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.name = f"{bench} on {side.kind} {side.base}"
        argument = json.dumps(dataclasses.asdict(side))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._serve", bench, argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def measure(self, **params: Any) -> Any:
        """Measure once; raise WorkerError when the process hangs or dies (its own words are on stderr)."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(params).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it died before it was asked: the read below says how
        if not select.select([self._process.stdout], [], [], self.patience)[0]:
            self._process.send_signal(signal.SIGUSR1)  # print_tasks: who is not done, if Python still runs
            time.sleep(2)
            self._process.send_signal(signal.SIGABRT)  # faulthandler: where the thread stands, if it does not
            self._process.wait()
            raise WorkerError(f"{self.name}: hung for {self.patience:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(f"{self.name}: died with exit code {self._process.wait()}")
        reply = json.loads(line)
        if "error" in reply:
            raise WorkerError(f"{self.name}: {reply['error']}")
        return reply["value"]

    def close(self) -> None:
        """End the process; a loop that cannot be closed is a finding too, but not this benchmark's."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it is dead already
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)
            self._process.wait()
            print(f"  note: {self.name} did not end by itself and was aborted", file=sys.stderr)
