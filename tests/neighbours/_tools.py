"""Run a program under one of the developer's tools, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).parent / "programs_tools"

SETTINGS = {"PREEMPTIO_SLICE": "1ms", "PREEMPTIO_GRACE": "100ms", "PYTHONPATH": str(ROOT)}


def environ(**more):
    """Return the environment without what others set for the tests' own process."""
    foreign = ("PREEMPTIO_", "COVERAGE_", "PYTEST_", "PYDEVD_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**clean, **SETTINGS, **more}


def python(*arguments, cwd, stdin="", code=0, **more):
    """Run Python to its end and return what it printed on both streams."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", *map(str, arguments)],
        cwd=cwd,
        env=environ(**more),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "internal error" not in said, said
    return said
