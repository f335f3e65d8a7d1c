"""demo: the same server under the same load, on a plain loop and on a preempted one.

Each run has two processes of its own: the server (`_demo_app`), which is measured, and the client (`_demo_client`),
which measures. In one process they would take the CPU from each other, and a frozen server would freeze the clock
that is to see it. This process only starts them, passes the client's news to the screen, and ends them.

The children are in sessions of their own, so that Ctrl-C reaches this process alone, which ends them and says so in
one line. Should this process die, the server notices the end of its standard input, and the client its next print.

Context: the main thread; no loop here.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Protocol

from preemptio._aio._loops import uvloop_class
from preemptio._cli import _demo_client
from preemptio._cli._demo_app import CRUNCH, points_for
from preemptio._cli._demo_stats import Run, figures
from preemptio._cli._refusal import Refusal
from preemptio._cli._run import base_named
from preemptio._compat import check_interpreter
from preemptio._config import Config, config

MODES = ("plain", "preempted")
RATE = 50
CLIENTS = 4
SLICE = 0.001


@dataclass(frozen=True)
class Plan:
    """What is going to be measured."""

    modes: tuple[str, ...]
    loop: str
    seconds: float
    slice: float
    points: int


class View(Protocol):
    """Who is told how it goes."""

    def started(self, mode: str) -> None:
        """Learn that a run begins."""

    def news(self, mode: str, so_far: dict[str, Any]) -> None:
        """Learn how it stands."""

    def finished(self, mode: str, run: Run) -> None:
        """Learn what a run measured."""


def demo(options: argparse.Namespace) -> int:
    """Measure and show; return the exit status."""
    check_interpreter()
    base_named(options.loop)
    loop = "uvloop" if options.loop != "asyncio" and uvloop_class() else "asyncio"
    slice_ = options.slice or (config.slice if os.environ.get(Config.slice.env, "").strip() else SLICE)
    modes = (options.only,) if options.only else MODES
    if not options.json:
        from preemptio._cli import _demo_view  # refuses without rich, before anything was measured
    try:
        plan = Plan(modes, loop, options.seconds, slice_, points_for(CRUNCH))
        if options.json:
            runs = {mode: measure(mode, plan, lambda _news: None) for mode in modes}
            print(json.dumps(_document(plan, runs), indent=2))
        else:
            _demo_view.show(plan, measure, no_color=options.no_color)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    return 0


def measure(mode: str, plan: Plan, news: Callable[[dict[str, Any]], None]) -> Run:
    """Run server and client once; pass on what the client says meanwhile.

    Raises:
        Refusal: one of them failed. Its last words are in the message.
    """
    app = [sys.executable, "-m", "preemptio._cli._demo_app", mode, plan.loop, str(plan.slice), str(plan.points)]
    client = [sys.executable, "-I", "-S", _demo_client.__file__]
    result: dict[str, Any] = {}
    with tempfile.TemporaryFile() as words, _child(app, words) as server:
        port = _read_line(server)
        if not port:
            raise _failed(f"the {mode} server", server, words)
        with _child([*client, port, str(plan.seconds), str(RATE), str(CLIENTS)], words) as load:
            while line := _read_line(load):
                result = json.loads(line)
                news(result)
            server_died = server.poll() is not None and "late" not in result
            if "late" not in result:
                raise _failed(
                    f"the {mode} server" if server_died else "the client", server if server_died else load, words
                )
    return Run(**result)


@contextlib.contextmanager
def _child(command: list[str], words: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process, and end it with the block."""
    process = subprocess.Popen(  # noqa: S603 - our own files
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words, start_new_session=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _read_line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def _failed(who: str, process: subprocess.Popen[bytes], words: IO[bytes]) -> Refusal:
    """Say how a process ended, and its last words."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
    status = process.returncode
    how = f"was ended by {signal.Signals(-status).name}" if status and status < 0 else f"ended with status {status}"
    words.seek(0)
    last = words.read().decode(errors="replace").strip().rpartition("\n")[2]
    return Refusal(
        f"{who} {how}{': ' + last if last else ''}. Type, to see more: python -X faulthandler "
        "-m preemptio demo --preempted-only",
        status=1,
    )


def _document(plan: Plan, runs: dict[str, Run]) -> dict[str, Any]:
    found: dict[str, Any] = {"loop": plan.loop, "slice": plan.slice, "seconds": plan.seconds}
    return found | {mode: figures(run) for mode, run in runs.items()}
