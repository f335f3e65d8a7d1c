"""coverage.py: hogs are preempted beside it, and what it reports is what it reports without preemption."""

import json
import sys

import pytest

pytest.importorskip("coverage")
import coverage

from tests.neighbours._tools import PROGRAMS, python

pytestmark = pytest.mark.slow

CONFIG = """
[run]
branch = {branch}
concurrency = {concurrency}
include =
    {programs}/covered.py
    {files}/*
[report]
ignore_errors = True
"""

# Its `concurrency`, and whether it measures branches.
CORES = {
    "ctrace": ("greenlet", True),
    "sysmon": ("thread", sys.version_info >= (3, 14)),
}


def measure(cwd, core, loop, how, **settings):
    """Return the lines of every measured file, and the report on the program."""
    cwd.mkdir()
    concurrency, branch = CORES[core]
    files = cwd.parent / "files"  # where files would be that do not exist
    files.mkdir(exist_ok=True)
    config = CONFIG.format(branch=branch, concurrency=concurrency, programs=PROGRAMS, files=files)
    (cwd / "rc").write_text(config)
    said = python(
        *("-m", "coverage", "run", "--rcfile=rc", PROGRAMS / "covered.py", loop, how, files),
        cwd=cwd,
        COVERAGE_CORE=core,
        **settings,
    )
    assert "OK" in said.splitlines(), said
    assert "Can't use core" not in said, said
    python("-m", "coverage", "json", "-q", "--rcfile=rc", "-o", "report.json", cwd=cwd)
    report = json.loads((cwd / "report.json").read_text())
    (file,) = (found for name, found in report["files"].items() if name.endswith("covered.py"))
    data = coverage.CoverageData(str(cwd / ".coverage"))
    data.read()
    lines = {name: sorted(data.lines(name)) for name in data.measured_files()}
    return lines, {key: file[key] for key in ("executed_lines", "missing_lines", "functions", "summary")}


@pytest.mark.parametrize(("core", "loop"), [("ctrace", "asyncio"), ("sysmon", "uvloop")])
def test_the_report_is_the_same(core, loop, tmp_path):
    """Every line of what was preempted, of what ran meanwhile, and of files that were new: as without preemption."""
    if core == "sysmon" and sys.version_info < (3, 12):
        pytest.skip("sys.monitoring is new in 3.12")
    off = {"PREEMPTIO_DEBUG": "asyncpreemptoff=1"}
    calm_lines, calm = measure(tmp_path / "calm", core, loop, "calm", **off)
    assert len(calm_lines) == 151
    lines, report = measure(tmp_path / "preempted", core, loop, "preempted")
    assert report == calm
    assert lines == calm_lines
