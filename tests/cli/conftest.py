"""`python -m preemptio` in a process of its own, in an environment without this machine's settings."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRIVATE = re.compile("PREEMPTIO_.*|COLUMNS|LINES|NO_COLOR|FORCE_COLOR|TERM|PYTHONSAFEPATH|PYTHONIOENCODING")
CLI = [sys.executable, "-m", "preemptio"]


def environment(**variables):
    kept = {name: value for name, value in os.environ.items() if not PRIVATE.fullmatch(name)}
    path = [variables.pop("first", ""), str(ROOT), variables.pop("last", "")]
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, path)), "PYTHONUTF8": "1"} | variables


@pytest.fixture
def cli(tmp_path):
    """Run a command to its end; keywords are environment variables."""

    def run(*words, python=(), **variables):
        command = [*CLI, *map(str, words)] if not python else [sys.executable, *map(str, python)]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def start(tmp_path):
    """Start a command, and end it with the test; keywords are environment variables."""
    started = []

    def popen(*words, stdout=subprocess.PIPE, **variables):
        process = subprocess.Popen(
            [*CLI, *words],
            cwd=tmp_path,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE if stdout == subprocess.PIPE else stdout,
            text=True,
        )
        started.append(process)
        return process

    yield popen
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def program(tmp_path):
    """Write a program; return its path."""

    def write(source, name="program.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        return path

    return write


@pytest.fixture
def both(cli):
    """Run the same words with `python` and with us."""

    def run(*words, options=(), **variables):
        return cli(python=words, **variables), cli("run", *options, *words, **variables)

    return run


@pytest.fixture
def hidden(tmp_path):
    """Return a directory for the front of the path, in which the named packages cannot be imported."""

    def hide(*names):
        place = tmp_path / "hidden"
        place.mkdir()
        for name in names:
            (place / f"{name}.py").write_text(f"raise ImportError('{name} is hidden')")
        return str(place)

    return hide


@pytest.fixture
def one_line():
    """Check that a command was refused as it should: status 2, one line, no traceback, and what to type."""

    def check(result, *parts):
        assert result.returncode == 2
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith("preemptio: ")
        assert "Type" in result.stderr
        for part in parts:
            assert part in result.stderr

    return check
