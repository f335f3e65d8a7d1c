"""Whole programs: what can only be seen from outside of the process.

Each program runs once for each kind of loop, whose name is its argument. The last lines of its docstring declare what
must come of it: `Exit: N` (negative: killed by that signal), and any number of `Says: text`, what the library must tell
the user, or `May say: text`, what it may. Lines like `PREEMPTIO_SLICE=1ms` there are settings; slow steps, which a slow
machine makes, are told of only where PREEMPTIO_SLOW is set. A program that ends with
status 0 must have printed OK.

Under fault injection (tests/conftest.py) the programs run with it, too, but for those with settings of their own for
it, and those that declare `Uninjected: why`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FOLDERS = (HERE, HERE.parent / "neighbours" / "programs")  # the second: those that need another library
PROGRAMS = sorted(
    (path for folder in FOLDERS for path in folder.glob("*.py") if path != Path(__file__) and path.stem[0] != "_"),
    key=lambda path: path.stem,
)


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_program(path, loop):
    """The program ends as it declares, within a minute."""
    declared = path.read_text().split('"""')[1]
    (code,) = re.findall(r"^Exit: (-?\d+)$", declared, re.MULTILINE)
    settings = {"PREEMPTIO_SLICE": "1ms", "PREEMPTIO_GRACE": "100ms", "PREEMPTIO_SLOW": "0"}
    settings |= dict(re.findall(r"^(PREEMPTIO_\w+)=(\S+)$", declared, re.MULTILINE))
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PREEMPTIO_")}
    if "Uninjected: " not in declared:
        environ |= {key: value for key, value in os.environ.items() if key == "PREEMPTIO_DEBUG"}
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", path, loop],
        env={**environ, **settings, "PYTHONPATH": f"{HERE.parents[1]}{os.pathsep}{HERE}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = f"\n{done.stdout}\n{done.stderr}"
    assert done.returncode == int(code), said
    assert int(code) or done.stdout.splitlines()[-1:] == ["OK"], said
    for text in re.findall(r"^Says: (.+)$", declared, re.MULTILINE):
        assert text in said, said
    assert "internal error" not in said, said
    if "Says:" not in declared and not int(code):
        allowed = re.findall(r"^May say: (.+)$", declared, re.MULTILINE)
        events = [
            line for line in done.stderr.splitlines() if not line.startswith("    ")
        ]  # without what is below them
        assert not [line for line in events if not any(text in line for text in allowed)], said
