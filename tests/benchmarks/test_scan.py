"""The benchmark of scans makes leaks on purpose: what is said of them is kept to itself, and nothing else."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

MEASURE = """
import asyncio, preemptio
from benchmarks import scan
from benchmarks._worker import Side, open_runner

once = scan.measure(Side("preempted", "asyncio", 0.001), "leaks", objects=3000, gs=20)
assert once["pause"] > 0, once

async def forgets():
    task = asyncio.create_task(asyncio.sleep(0))
    await preemptio.suspend_g(task)

open_runner[0].run(forgets())
open_runner[0].close()
"""


def test_it_says_nothing_of_its_leaks():
    """What else the library has to say is shown."""
    command = [sys.executable, "-c", MEASURE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "suspended task was not resumed" in done.stderr
    assert "leaked task" not in done.stderr
