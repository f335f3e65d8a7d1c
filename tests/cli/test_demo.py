"""demo: it measures both runs, shows them on any terminal and on none, and ends with nothing left behind."""

import contextlib
import json
import os
import pty
import signal
import sys
import time
import uuid
from pathlib import Path

import pytest

from preemptio._cli._demo_stats import FIGURES

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_json(cli, loop, hidden):
    """--json needs no rich, prints one document, and its figures show what preemption is for."""
    words = "demo", "--json", "--seconds", "0.6", "--slice", "2ms", "--loop", loop
    result = cli(*words, first=hidden("rich"))
    assert result.returncode == 0
    found = json.loads(result.stdout)
    assert (found["loop"], found["slice"], found["seconds"]) == (loop, 0.002, 0.6)
    for mode in ("plain", "preempted"):
        assert {figure.key for figure in FIGURES} <= found[mode].keys()
        assert found[mode]["health_answered"] == found[mode]["health_sent"] == 30
        assert found[mode]["failed"] == 0
        assert found[mode]["crunch_rate"] > 0
    assert found["preempted"]["health_p50"] < found["plain"]["health_p50"]
    assert found["preempted"]["heartbeat_p99"] < found["plain"]["heartbeat_p99"]


@pytest.mark.slow
def test_into_a_pipe(cli):
    """No control characters, 80 columns, every figure, the histogram, and at last what to type next."""
    result = cli("demo", "--seconds", "0.3")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert all(line.isprintable() and len(line) <= 80 for line in lines)
    for figure in FIGURES:
        assert figure.name in result.stdout
    assert any("plain: health checks" in line and "preempted: health checks" in line for line in lines)
    assert any("█" in line for line in lines)
    assert lines[-1] == "Next, your own program, unchanged: python -m preemptio run your_script.py"


@pytest.mark.slow
def test_one_run_in_ascii(cli):
    """--plain-only measures one; where nothing but ASCII can be written, nothing else is."""
    environ = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    result = cli("demo", "--plain-only", "--seconds", "0.3", "--loop", "asyncio", **environ)
    assert result.returncode == 0
    assert result.stdout.isascii()
    assert "#" in result.stdout
    assert "preempted: " not in result.stdout
    assert result.stdout.endswith("demo --preempted-only\n")


@pytest.mark.slow
def test_on_a_terminal(start):
    """A bar moves, the cursor is shown again, and --no-color uses none."""
    status, output = on_terminal(start, "demo", "--preempted-only", "--seconds", "0.4", "--no-color")
    assert status == 0
    assert "answered" in output
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")
    assert "\x1b[3" not in output


def test_without_rich(cli, one_line, hidden):
    """The refusal comes before anything is measured, and says what to install."""
    one_line(cli("demo", first=hidden("rich")), "pip install 'preemptio[cli]'")


def test_without_uvloop(cli, one_line, hidden):
    """--loop uvloop is refused where there is none."""
    one_line(cli("demo", "--loop", "uvloop", first=hidden("uvloop")), "pip install 'preemptio[uvloop]'")


@LINUX
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_interrupted(start, words):
    """Ctrl-C while a run is on ends in one line and status 130; server and client are gone."""
    mark = uuid.uuid4().hex
    process = start("demo", *words, MARK=mark)
    first(process, mark, "_demo_client")
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=20)
    assert process.returncode == 130
    assert words.strip() == "Stopped."
    assert marked(mark) == {}


@LINUX
def test_interrupted_on_a_terminal(start):
    """Ctrl-C leaves the terminal with its cursor."""
    mark = uuid.uuid4().hex
    status, output = on_terminal(start, "demo", MARK=mark, meanwhile=lambda p: interrupt(p, mark))
    assert status == 130
    assert "Traceback" not in output
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")


@LINUX
def test_killed(start):
    """Should the demo be killed, server and client end by themselves."""
    mark = uuid.uuid4().hex
    process = start("demo", "--plain-only", MARK=mark)
    first(process, mark, "_demo_client")
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while left := marked(mark):
        assert time.monotonic() < deadline, left


@LINUX
@pytest.mark.parametrize(("part", "who"), [("_demo_app", "the plain server"), ("_demo_client", "the client")])
def test_a_part_that_crashes(start, part, who):
    """A crash of a part is reported as what it is, in one line, with status 1."""
    mark = uuid.uuid4().hex
    process = start("demo", "--plain-only", "--json", MARK=mark)
    first(process, mark, "_demo_client")
    os.kill(first(process, mark, part), signal.SIGKILL)
    out, words = process.communicate(timeout=40)
    assert (process.returncode, out) == (1, "")
    assert f"preemptio: {who} was ended by SIGKILL. Type, for a report:" in words
    assert "Traceback" not in words


def on_terminal(start, *words, meanwhile=lambda _process: None, **variables):
    """Run with a terminal of 80 columns; return the exit status and what the terminal was sent."""
    main, side = pty.openpty()
    process = start(*words, stdout=side, TERM="xterm-256color", COLUMNS="80", LINES="24", **variables)
    os.close(side)
    meanwhile(process)
    output = b""
    with contextlib.suppress(OSError):  # how Linux reports the end of a terminal
        while data := os.read(main, 65536):
            output += data
    os.close(main)
    return process.wait(), output.decode()


def interrupt(process, mark):
    first(process, mark, "_demo_client")
    process.send_signal(signal.SIGINT)


def marked(mark):
    """Return the command lines of all processes that inherited the mark, by id."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"MARK={mark}".encode() in (place / "environ").read_bytes():
                found[int(place.name)] = (place / "cmdline").read_bytes().decode()
    return found


def first(process, mark, part):
    """Wait until a part of the demo runs; return its id."""
    while process.poll() is None:
        for pid, command in marked(mark).items():
            if part in command:
                return pid
    raise AssertionError(f"it ended with status {process.returncode}")
