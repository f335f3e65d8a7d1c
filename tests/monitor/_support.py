"""What the monitor's tests share: programs to look at, and a telnet client that is not ours."""

import asyncio
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import telnetlib3

import preemptio

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 40
"""Seconds after which something hangs."""

CONTROL = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>])|\r")


def loop_factory(kind):
    """Return what makes a loop of ours on asyncio's or uvloop's."""
    if kind == "uvloop":
        import uvloop

        return lambda: preemptio.new_event_loop(uvloop.Loop)
    return lambda: preemptio.new_event_loop(asyncio.SelectorEventLoop)


def run(kind, main):
    return preemptio.run(main, loop_factory=loop_factory(kind))


async def outside(fn, *args):
    """Call in a thread of its own, as a client is elsewhere, and wait for it."""
    loop, done, found = asyncio.get_running_loop(), asyncio.Event(), []

    def call():
        try:
            found.append((fn(*args), None))
        except BaseException as exc:
            found.append((None, exc))
        loop.call_soon_threadsafe(done.set)

    threading.Thread(target=call, daemon=True).start()
    await asyncio.wait_for(done.wait(), LIMIT)
    result, exc = found[0]
    if exc is not None:
        raise exc
    return result


async def _connect(port, term):
    reader, writer = await telnetlib3.open_connection(
        "127.0.0.1", port, term=term, cols=200, rows=50, connect_minwait=0.05, connect_maxwait=1.0
    )
    # The console hangs up on what does not begin as telnet. Its own negotiation may not have come within the wait.
    writer.send_iac(telnetlib3.telopt.IAC + telnetlib3.telopt.NOP)
    return reader, writer


def ask(port, *commands):
    """Have a console do commands, one after the other; return what it said to each.

    Between two of them a word is sent that is no command: what is said of that tells one answer from the next.
    """

    async def talk():
        reader, writer = await _connect(port, "dumb")
        for number, line in enumerate(commands):
            writer.write(f"{line}\r=={number}==\r")
        writer.write("exit\r")
        await writer.drain()
        said = ""
        try:
            while more := await asyncio.wait_for(reader.read(65536), LIMIT / 2):
                said += more
        except TimeoutError:
            raise AssertionError(f"the console says nothing more after: {said}") from None
        finally:
            writer.close()
        return CONTROL.sub("", said)

    said = _run(talk)
    answers = re.split(r"error: No such command '==\d+=='\.[^\n]*\n", said)
    assert len(answers) == len(commands) + 1, said
    return [answer.strip("\n") for answer in answers[:-1]]


def _run(talk):
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(asyncio.wait_for(talk(), LIMIT))


def typed(port, *keys):
    """Type into a console as in a terminal; each of `keys` is what is typed, and what must be shown then."""

    async def talk():
        reader, writer = await _connect(port, "xterm")
        seen = ""

        async def until(text):
            nonlocal seen
            while text not in CONTROL.sub("", seen):
                try:
                    more = await asyncio.wait_for(reader.read(65536), LIMIT / 2)
                except TimeoutError:
                    more = ""
                assert more, f"{text!r} was not shown, but: {seen!r}"
                seen += more
            seen = ""

        await until("monitor >>>")
        for text, shown in keys:
            writer.write(text)
            await until(shown)
        writer.close()

    _run(talk)


def environment(**variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREEMPTIO_")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"} | variables


def program(source, *words, **options):
    """Start a program in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "ignore::DeprecationWarning", "-c", source, *words],
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **{"stdin": subprocess.DEVNULL, **options},
    )


def attached(port, text):
    """Hand a text to `preemptio attach`, in a pipe; return what it wrote."""
    done = subprocess.run(
        [sys.executable, "-m", "preemptio", "attach", f"127.0.0.1:{port}"],
        env=environment(),
        input=text,
        text=True,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
