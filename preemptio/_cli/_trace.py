"""trace: record a program, make a trace into a file for a viewer, print its summary.

`run` gives each loop of the program a recorder when it begins to run, and keeps it beyond the loop: `asyncio.run` may
be called many times. What they have is written when the program's last line has run, however it ends.

Context: the main thread; a recorder is started in the thread of its loop.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from preemptio._aio._runtime import ON_START
from preemptio._cli._args import program_name
from preemptio._cli._refusal import Refusal
from preemptio._observe._trace._file import read
from preemptio._observe._trace._flight import Flight, flight_of, save, start, trace_of
from preemptio._observe._trace._totals import summary


def traced(options: argparse.Namespace, run: Callable[[argparse.Namespace], int]) -> int:
    """Run the program with every loop recorded, then write the file; return the program's exit status.

    Raises:
        Refusal: there is no such program, or the directory of the file does not exist.
    """
    path: str = os.path.abspath(options.output)  # the program may change the directory
    if not os.path.isdir(os.path.dirname(path)):
        raise Refusal(f"there is no directory {os.path.dirname(path)!r}. Type, for example: -o trace.ptrace")
    recorders: list[Flight] = []

    def record(loop: Any) -> None:
        if flight_of(loop) is None:
            start(options.seconds, options.max_bytes, loop=loop)
        flight = flight_of(loop)
        if flight is not None and flight not in recorders:
            recorders.append(flight)

    ON_START.append(record)
    pid = os.getpid()
    try:
        return run(options)
    finally:
        if os.getpid() == pid and recorders:  # not in a child that the program has forked
            _finish(recorders, path)


def _finish(recorders: list[Flight], path: str) -> None:
    """Write the file; that it cannot be is no reason to lose the program's exit status."""
    try:
        save(trace_of(recorders), path)
    except Exception as why:  # the program's own outcome is what must not be lost
        print(f"preemptio: {why}", file=sys.stderr)
        return
    dropped = sum(flight.ring.dropped for flight in recorders)
    if dropped:
        print(f"preemptio: {dropped} records were dropped, the oldest. Type: --max-bytes 268435456", file=sys.stderr)
    what = f"{program_name()} trace summary {path}" if path.endswith(".ptrace") else "see https://ui.perfetto.dev"
    print(f"preemptio: {path} is written: {what}", file=sys.stderr)


def convert(options: argparse.Namespace) -> int:
    """Make a trace into a file for a viewer.

    Raises:
        Refusal: one of the files is not there, or not of that kind.
    """
    known = (".json", ".pftrace", ".perfetto-trace", ".ptrace")
    if not options.output.endswith(known):
        raise Refusal(f"the ending of {options.output!r} says no format. Type, for example: trace convert IN out.json")
    try:
        save(read(options.input), options.output)
    except OSError as why:
        raise Refusal(f"{why.filename!r}: {why.strerror}. Type: {program_name()} trace convert --help") from None
    print(f"{options.output}: {os.path.getsize(options.output)} bytes. Open it in https://ui.perfetto.dev")
    return 0


def show(options: argparse.Namespace) -> int:
    """Print the summary.

    Raises:
        Refusal: there is no such file.
    """
    try:
        trace = read(options.file)
    except OSError as why:
        raise Refusal(f"{why.filename!r}: {why.strerror}. Type: {program_name()} trace summary --help") from None
    for line in summary(trace, options.top):
        print(line)
    return 0
