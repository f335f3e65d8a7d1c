"""faulthandler: its dumps show what has the CPU, down to the carrier, and harm nobody."""

import re

import pytest

from tests.neighbours._tools import PROGRAMS, python

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_dumps(loop, tmp_path):
    """On SIGUSR1, in the loop and in a hog: hogs are preempted, and each stack is one task's."""
    said = python(PROGRAMS / "dumped.py", loop, tmp_path / "dumps", cwd=tmp_path)
    assert said.splitlines()[-1] == "OK", said
    dumps = re.split(r"^(?:Current t|T)hread .*:$", (tmp_path / "dumps").read_text(), flags=re.MULTILINE)[1:]
    assert len(dumps) >= 2 * 20
    in_a_hog = [dump for dump in dumps if " in hog" in dump]
    assert len(in_a_hog) >= 20
    for dump in in_a_hog:
        functions = re.findall(r" in (\w+)$", dump, re.MULTILINE)
        assert functions[functions.index("hog") :][:3] == ["hog", "_call", "run_step"], dump
        assert functions.count("run_step") == 1, dump
        assert "spin" not in functions, dump
