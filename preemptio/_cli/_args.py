"""The command line, from words to options.

Problem. Everything behind a program's name belongs to the program: `run -m http.server --help` must show
http.server's help.
What does not work: argparse.REMAINDER, which also swallows options of ours or drops a `--`, depending on what
stands before it.
What we do: the words of `run` are cut in two before argparse sees any: ours, and the program with its own.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from preemptio import __version__
from preemptio._cli._address import HOST, PORT, address
from preemptio._cli._refusal import Refusal
from preemptio._cli._trace_args import add_trace
from preemptio._config import Config

WITH_VALUE = ("--slice", "-o", "--output", "--seconds", "--max-bytes")
"""The options of `run` and `trace run` that take the next word with them."""

RUN_EPILOG = """\
Everything behind the script or the module belongs to the program. The program's own code is preempted. Coroutines
of packages in site-packages are not, unless PREEMPTIO_ALLOW names the package. Exit status: the program's; 1 after
an uncaught exception, 130 after Ctrl-C, 2 when there is nothing to run."""


class Parser(argparse.ArgumentParser):
    """argparse, refusing in one line."""

    def error(self, message: str) -> NoReturn:
        """Refuse, without the page of usage."""
        raise Refusal(message if ". Type, " in message else f"{message}. Type: {self.prog} --help")


@functools.cache
def program_name() -> str:
    """Return what the user types to start us. Remembered, because `run` gives sys.argv to the program."""
    started_as = os.path.basename(sys.argv[0])
    return "python -m preemptio" if started_as in ("__main__.py", "-m", "") else started_as


def read(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options: `command`, and what belongs to it.

    Raises:
        Refusal: something is misspelt, missing or too much.
        SystemExit: --help or --version was answered.
    """
    parser, run_parser, trace_run_parser = _parsers()
    if not argv:
        raise Refusal(f"which command? Type: {parser.prog} demo, or: {parser.prog} --help")
    traced = list(argv[:2]) == ["trace", "run"]
    if argv[0] != "run" and not traced:
        return parser.parse_args(argv)
    run_parser = trace_run_parser if traced else run_parser
    ours, module, program = split(argv[1 + traced :])
    options = run_parser.parse_args(ours)
    if not program:
        what = "the module's name is missing behind -m" if module else "there is no program to run"
        raise Refusal(f"{what}. Type: {run_parser.prog} script.py, or: {run_parser.prog} -m module")
    options.command, options.traced = "run", traced
    options.is_module, options.target, options.args = module, program[0], program[1:]
    return options


def split(words: Sequence[str]) -> tuple[list[str], bool, list[str]]:
    """Cut the words of `run` in two: options of ours, whether a module was named, the program and its words."""
    at = 0
    while at < len(words):
        word = words[at]
        if word == "--":
            return list(words[:at]), False, list(words[at + 1 :])
        if word.startswith("-m"):
            return list(words[:at]), True, [word[2:]] * (word != "-m") + list(words[at + 1 :])
        if not word.startswith("-") or word == "-":
            return list(words[:at]), False, list(words[at:])
        at += 2 if word in WITH_VALUE else 1
    return list(words), False, []


def _parsers() -> tuple[Parser, Parser, Parser]:
    parser = Parser(
        prog=program_name(),
        description="asyncio tasks that are preempted: a task that computes no longer freezes the others.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"preemptio {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    text = "watch one server, plain and preempted, answer health checks while it computes"
    demo = commands.add_parser("demo", help=text, description=text.capitalize() + ".", allow_abbrev=False)
    demo.add_argument("--seconds", type=_seconds, default=6.0, help="how long each run takes (default: 6)")
    demo.add_argument(
        "--slice", type=_slice, metavar="TIME", help="a computing task's turn (default: PREEMPTIO_SLICE, else 1ms)"
    )
    bases = ("asyncio", "uvloop", "auto")
    demo.add_argument("--loop", choices=bases, default="auto", help="auto (default): uvloop where it is installed")
    which = demo.add_mutually_exclusive_group()
    which.add_argument(
        "--plain-only", dest="only", action="store_const", const="plain", help="only the run on the plain loop"
    )
    which.add_argument(
        "--preempted-only", dest="only", action="store_const", const="preempted", help="only the run that is preempted"
    )
    demo.add_argument("--no-color", action="store_true", help="do not use colors (so does NO_COLOR=1)")
    demo.add_argument("--json", action="store_true", help="print the figures as JSON, and nothing else")

    text = "run an asyncio program, unchanged, with its tasks preempted"
    run = _run_parser(commands, "run", text)

    text = "record what the scheduler does, and show it"
    trace = commands.add_parser("trace", help=text, description=text.capitalize() + ".", allow_abbrev=False)
    trace_run = add_trace(trace, _run_parser)

    text = "open the console of a live program that has called preemptio.monitor.start()"
    attach = commands.add_parser("attach", help=text, description=text.capitalize() + ".", allow_abbrev=False)
    attach.add_argument(
        "address",
        type=address,
        nargs="?",
        default=f"{HOST}:{PORT}",
        metavar="HOST:PORT",
        help="where it listens (default: %(default)s); in a pipe each line is a command: echo gs | preemptio attach",
    )

    text = "show versions, settings, and what works here"
    info = commands.add_parser("info", help=text, description=text.capitalize() + ".", allow_abbrev=False)
    info.add_argument("--json", action="store_true", help="print it as JSON")
    info.add_argument(
        "--verdicts", action="store_true", help="print why a task may not be preempted, and what to do about each"
    )
    return parser, run, trace_run


def _run_parser(commands: Any, name: str, text: str) -> Parser:
    prog = commands._prog_prefix + " " + name
    run: Parser = commands.add_parser(
        name,
        help=text,
        description=text.capitalize() + ".",
        epilog=RUN_EPILOG,
        usage=f"{prog} [options] script.py [words ...]\n       {prog} [options] -m module [words ...]",
        allow_abbrev=False,
    )
    base = run.add_mutually_exclusive_group()
    base.add_argument("--uvloop", dest="loop", action="store_const", const="uvloop", help="build on uvloop's loop")
    base.add_argument(
        "--asyncio", dest="loop", action="store_const", const="asyncio", help="build on asyncio's own loop"
    )
    run.add_argument("--slice", type=_slice, metavar="TIME", help="a computing task's turn (default: PREEMPTIO_SLICE)")
    run.set_defaults(loop="auto")
    return run


def _slice(text: str) -> float:
    kind = Config.slice.kind
    try:
        return kind.parse(text.strip())
    except ValueError as why:
        message = f"{text!r} is not accepted: {why}. Accepted: {kind.accepts}. Type, for example: --slice 2ms"
        raise argparse.ArgumentTypeError(message) from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.2 <= seconds <= 3600:
        message = f"{text!r} is not a number of seconds from 0.2 to 3600. Type, for example: --seconds 6"
        raise argparse.ArgumentTypeError(message)
    return seconds
