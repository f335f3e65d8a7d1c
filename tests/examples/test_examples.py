"""Each example runs to its end by itself, on both kinds of loop, and shows what it says that it shows."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

ON_ASYNCIO = "import runpy, sys; sys.modules['uvloop'] = None; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
"""Runs a file as a program for which uvloop is not installed."""

SHOWS = {
    "01_hog.py": [r"same result: True", r"the heart beat through the job: True"],
    "02_fastapi_service.py": [r"by letters: .* 503", r"health was checked meanwhile: True"],
    "03_timeouts.py": [
        r"asyncio\.timeout\(0\.05\), 12 queens: 14200",
        r"6 queens: 4 solutions",
        r"cancelled True, its finally block ran True",
        r"the search was stopped: True",
    ],
    "04_leak_hunt.py": [
        r"leaked: classes, waits for queue get, keeps much alive",
        r"created at .*Index\.subscribe",
        r"still subscribed and not leaked: numbers",
        r"leaked without the bug: 0",
    ],
    "05_live_monitor.py": [
        r"4 Gs: .*\n.*\n *G +NAME +STATUS",
        r"has nice 10; it was 0",
        r'G [0-9]+ "archive"\nnow: cannot be preempted: (.*\n)+ .* in archive',
        r"the console answered meanwhile",
    ],
    "06_trace.py": [
        r"largest functions: _simple_enum \(",
        r"parser . regions: walk",
        r"[0-9]{2,} events in trace\.json",
    ],
    "07_race_hunt.py": [
        r"oversold with PREEMPTIO_DEBUG=preemptrandom=[0-9]+:0\.0003: {'",
        r"found by some seeds and not by others: True",
        r"the same again with the first of them: True",
        r"the fixed shop, with all of them: 0 oversold",
        r"the fixed shop, at every safe point: nothing oversold",
    ],
    "08_budgets_and_priorities.py": [
        r"more for the first: True",
        r"one task: .* limit was 0\.05 s",
        r"a block: .* within its limit: True",
        r"a group of three: .* limit was 0\.2 s",
    ],
    "09_sqlalchemy_service.py": [r"preempted outliers at \[200, 600", r"values were stored meanwhile: True"],
    "10_ray_actor.py": [r"health was checked meanwhile: True"],
    "11_goroutines.py": [r"3 files by 2 readers: [1-9][0-9]+ tokens", r"other tasks ran meanwhile: True"],
    "12_checkpoints.py": [
        r"checkpoint off: .* heart beats False",
        r"checkpoint on : .* heart beats True",
        r"nopreempt on : [0-9]+ audits, 0 saw money in flight",
        r"charge: x{4}y{4}",
    ],
}


LOGS = {"04_leak_hunt.py": "leaked task"}
"""What the library itself tells the user there; elsewhere it has nothing to say."""


def cannot_run(example, loop):
    """Say why an example cannot run here, or None. Ray, of 240 MB, is not in the extra `test` but in `ray-test`."""
    if example.name == "10_ray_actor.py":
        if importlib.util.find_spec("ray") is None:
            return "Ray is not installed"
        if sys.version_info < (3, 12):
            return "an actor's loop is in a thread, which has no tick before 3.12"
        if loop == "asyncio":
            return "its loops are those of its workers, which have uvloop"
    return None


def run(example, loop):
    """Run an example as a user would; warnings are errors. Slow steps, which a slow machine makes, are not told of."""
    program = [str(example)] if loop == "uvloop" else ["-c", ON_ASYNCIO, str(example)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PREEMPTIO_")}
    return subprocess.run(
        [sys.executable, "-W", "error", *program],
        cwd=ROOT,
        env=environ
        | {"PYTHONPATH": str(ROOT), "PYTHONASYNCIODEBUG": "", "PREEMPTIO_SLOW": "0", "RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example_shows_its_point(example, loop):
    """It exits with 0, prints the lines that tell, and complains about nothing."""
    if why_not := cannot_run(example, loop):
        pytest.skip(why_not)
    ran = run(example, loop)
    assert ran.returncode == 0, ran.stderr
    if example.name in LOGS:
        assert LOGS[example.name] in ran.stderr
        assert "Traceback" not in ran.stderr
    else:
        assert ran.stderr == ""
    for line in SHOWS[example.name]:
        assert re.search(line, ran.stdout), f"{line} is not in:\n{ran.stdout}"


def test_every_example_is_checked():
    """There is an expectation for each file, and a file for each expectation."""
    assert [example.name for example in EXAMPLES] == list(SHOWS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example_is_short_and_says_how_to_run_it(example):
    """It has less than 100 lines, and its docstring has the command."""
    text = example.read_text()
    assert len(text.splitlines()) < 100
    assert f"    python examples/{example.name}\n" in text or f"    python examples/{example.name}  " in text
