"""cProfile, other profilers' callbacks, and py-spy: nothing breaks, and hogs are preempted all the same."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.neighbours._tools import PROGRAMS, environ, python

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_cprofile_of_a_program(loop, tmp_path):
    """`python -m cProfile`: each call of the preempted functions is counted once, some of them as recursive ones."""
    said = python("-m", "cProfile", "-s", "ncalls", PROGRAMS / "profiled.py", loop, cwd=tmp_path)
    (calls,) = re.findall(r"^CALLS (\d+)$", said, re.MULTILINE)
    counted = re.findall(r"^\s*(\d+)(?:/\d+)?\s.*profiled\.py:\d+\(small\)$", said, re.MULTILINE)
    assert counted == [calls], said
    assert "\nOK\n" in said, said


def test_cprofile_in_a_task(tmp_path):
    """Profile.enable() and disable() in one task, around code that is preempted."""
    said = python(PROGRAMS / "profiled.py", "asyncio", "task", cwd=tmp_path)
    assert said.splitlines()[-1] == "OK", said


@pytest.mark.parametrize("what", ["profiler", "monitoring"])
def test_a_callback_is_not_left(what, tmp_path):
    """In a callback of a profiler or of sys.monitoring the rule for C frames refuses; behind it there is a place."""
    if what == "monitoring" and sys.version_info < (3, 12):
        pytest.skip("sys.monitoring is new in 3.12")
    said = python(PROGRAMS / "called_back.py", "asyncio", what, cwd=tmp_path)
    assert re.search(r"^REFUSED .*C frame", said, re.MULTILINE), said
    assert said.splitlines()[-1] == "OK", said


SPY = Path(sysconfig.get_path("scripts")) / "py-spy"


def spy(*arguments, cwd):
    """Run py-spy; skip, with what it printed, where the machine does not let it look."""
    if not SPY.exists():
        pytest.skip("py-spy is not installed")
    done = subprocess.run(
        [SPY, *map(str, arguments)], cwd=cwd, env=environ(), capture_output=True, text=True, timeout=60, check=False
    )
    said = done.stdout + done.stderr
    if done.returncode and re.search(r"permission denied|not permitted|requires root|ptrace", said, re.IGNORECASE):
        pytest.skip(said.strip())
    assert done.returncode == 0, said
    return said


def test_py_spy_on_a_running_process(tmp_path):
    """`dump` and `record` show the hog that runs, down to the carrier; not the parked ones. The process goes on."""
    with subprocess.Popen(
        [sys.executable, PROGRAMS / "served.py", "asyncio"],
        env=environ(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline() == "READY\n"
            dumps = [spy("dump", "--pid", process.pid, cwd=tmp_path) for _ in range(4)]
            record = ["record", "-d", "1", "-r", "100", "-f", "raw", "-o", "out.txt", "--pid", process.pid]
            spy(*record, cwd=tmp_path)
            said, _ = process.communicate("")
        finally:
            process.kill()
    for dump in dumps:
        assert dump.count("Carrier.run") <= 1, dump  # none between two steps
    assert any("spin" in dump for dump in dumps), dumps
    assert re.search(r"Carrier\.run .*;spin \S+ \d+$", (tmp_path / "out.txt").read_text(), re.MULTILINE)
    assert said == "OK\n"


def test_py_spy_as_the_parent(tmp_path):
    """`py-spy record -- python program`, for machines that let a process look at its children only."""
    program = [sys.executable, PROGRAMS / "profiled.py", "uvloop"]
    spy("record", "-r", "100", "-f", "raw", "-o", "out.txt", "--", *program, cwd=tmp_path)
    assert "hog (" in (tmp_path / "out.txt").read_text()
