"""One run of the demo: a server and a client, each in a process of its own, from start to result.

The server (`_demo_app`) is measured, the client (`_demo_client`) measures. In one process they would take the CPU
from each other, and a frozen server would freeze the clock that is to see it. This process only starts them, passes
on the client's news, and ends them.

The children are in sessions of their own, so that Ctrl-C reaches this process alone. It ends them on every way out;
should it be killed itself, the server notices the end of its standard input, and the client its next print.

Context: the main thread; no loop here.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from preemptio._cli import _demo_client
from preemptio._cli._args import program_name
from preemptio._cli._demo_stats import Run
from preemptio._cli._refusal import Refusal

RATE = 50
"""Health checks a second."""

CLIENTS = 4
"""Clients that ask for /crunch again as soon as it was answered."""

News = Callable[[dict[str, Any]], None]
Child = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Plan:
    """What is going to be measured."""

    modes: tuple[str, ...]
    loop: str
    seconds: float
    slice: float
    points: int


def measure(mode: str, plan: Plan, news: News | None = None) -> Run:
    """Run server and client once; pass on what the client says meanwhile.

    Raises:
        Refusal: one of them failed.
    """
    app = [sys.executable, "-m", "preemptio._cli._demo_app", mode, plan.loop, str(plan.slice), str(plan.points)]
    client = [sys.executable, "-I", "-S", _demo_client.__file__]
    line: dict[str, Any] = {}
    with _words() as words, _child(app, words) as server:
        port = _read_line(server)
        if not port:
            raise _failure(f"the {mode} server", server)
        with _child([*client, port, str(plan.seconds), str(RATE), str(CLIENTS)], words) as load:
            while text := _read_line(load):
                line = json.loads(text)
                if news is not None and "elapsed" in line:
                    news(line)
            if "late" not in line:
                raise _failure(f"the {mode} server", server, otherwise=("the client", load))
    return Run(**line)


@contextlib.contextmanager
def _words() -> Iterator[IO[bytes]]:
    """Collect what the children write to standard error; repeat it when the screen is ours no more."""
    with tempfile.TemporaryFile() as words:
        try:
            yield words
        except KeyboardInterrupt:
            words.truncate(0)  # complaints about being ended in the middle
            raise
        finally:
            words.seek(0)
            sys.stderr.write(words.read().decode(errors="replace")[-8000:])


@contextlib.contextmanager
def _child(command: list[str], words: IO[bytes]) -> Iterator[Child]:
    """Start a process, and end it with the block."""
    process = None
    try:
        with _undisturbed():
            process = subprocess.Popen(  # noqa: S603 - our own files
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                start_new_session=True,
                env=os.environ | {"PYTHONFAULTHANDLER": "1"},
            )
        yield process
    finally:
        if process is not None:
            process.kill()
            process.communicate()


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Put Ctrl-C off: a process that has been started and has no name yet would be left behind."""
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def _read_line(process: Child) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def _failure(who: str, process: Child, otherwise: tuple[str, Child] | None = None) -> Refusal:
    """Say how a process ended; of two, blame the one that ended by itself."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=2)
    status = process.returncode
    if status is None and otherwise is not None:
        return _failure(*otherwise)
    how = f"was ended by {signal.Signals(-status).name}" if status and status < 0 else f"ended with status {status}"
    return Refusal(f"{who} {how}. Type, for a report: {program_name()} info", status=1)
