"""`python -m preemptio`: see what preemption does (`demo`), have it (`run`), know what it can do here (`info`),
what the scheduler did (`trace`), and what a live program does (`attach`).

Whatever is wrong with what was typed - a word, a setting, a missing package - is one line on standard error that
ends in what to type instead, and exit status 2. A traceback is only ever the user's program's, or a bug.

Each command is imported when it is chosen: a program that is started with `run` shares its process with us, and
should find as little of us there as possible.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from preemptio._cli._args import read
from preemptio._cli._refusal import Refusal
from preemptio._config import KNOBS, config
from preemptio._errors import PreemptioError


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    try:
        options = read(sys.argv[1:] if argv is None else argv)
        for knob in KNOBS:
            getattr(config, knob.name)  # a bad variable is refused now, not in the middle of the user's program
        if options.command == "run":
            from preemptio._cli._run import run

            if options.traced:
                from preemptio._cli._trace import traced

                return traced(options, run)
            return run(options)
        return _show(options.command, options)
    except (Refusal, PreemptioError) as why:
        print(f"preemptio: {why}", file=sys.stderr)
        return getattr(why, "status", 2)


def _show(command: str, options: argparse.Namespace) -> int:
    """Run a command that writes to standard output, whose reader may go away: `preemptio info | head -1`."""
    try:
        if command == "info":
            from preemptio._cli._info import info as chosen
        elif command == "trace":
            from preemptio._cli._trace import convert, show

            chosen = convert if options.trace == "convert" else show
        elif command == "attach":
            from preemptio._cli._attach import attach as chosen
        else:
            from preemptio._cli._demo import demo as chosen
        status = chosen(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # What is still buffered would fail once more, with a traceback, when the interpreter flushes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status
