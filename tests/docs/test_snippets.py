"""What the pages show works: Python blocks run, commands parse, links lead somewhere, figures are those measured."""

import doctest
import os
import pathlib
import re
import shlex
import subprocess
import sys
from typing import NamedTuple

import pytest

from preemptio._cli._args import read

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<why>[^\n]+) -->\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
OUTPUT = re.compile(r"\n*^```text\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
EVENT = re.compile(r"^[\d:]{8} \[warning\] preemptio: .*\n(    .*\n)*", re.MULTILINE)
"""What the runtime reports, with the lines below it."""

LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


class Block(NamedTuple):
    """One fenced block of a page."""

    page: str
    line: int
    kind: str
    body: str
    why: str | None  # it is not run
    output: str | None  # what it prints, in the text block behind it, with `...` for what differs

    @property
    def name(self):
        return f"{self.page}:{self.line}"


def blocks():
    """Return every fenced block of every page."""
    for page in PAGES:
        text = page.read_text()
        for found in BLOCK.finditer(text):
            line = text.count("\n", 0, found.start("kind")) + 1
            behind = OUTPUT.match(text, found.end())
            yield Block(page.name, line, found["kind"], found["body"], found["why"], behind and behind["body"])


BLOCKS = list(blocks())
PYTHON = [block for block in BLOCKS if block.kind == "python"]
COMMANDS = [
    (block.name, line[2:].partition("  #")[0].strip())
    for block in BLOCKS
    if block.kind == "console"
    for line in block.body.splitlines()
    if line.startswith("$ ")
]


@pytest.mark.slow
@pytest.mark.parametrize("block", [b for b in PYTHON if b.why is None], ids=lambda block: block.name)
def test_python_block_runs(block, tmp_path):
    """It is a whole program: it ends with status 0, complains about nothing and prints what the page says it does."""
    path = tmp_path / "snippet.py"
    path.write_text(block.body)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PREEMPTIO_")}
    environ |= {"PYTHONPATH": str(ROOT), "PYTHONASYNCIODEBUG": ""}
    command = [sys.executable, "-W", "error", path]
    ran = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=30, check=False)
    said = EVENT.sub("", ran.stderr).splitlines()
    assert (ran.returncode, said) == (0, [])
    if block.output is not None:
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE  # a column's width depends on the paths
        assert doctest.OutputChecker().check_output(block.output, ran.stdout, flags), ran.stdout


@pytest.mark.parametrize("block", [b for b in PYTHON if b.why is not None], ids=lambda block: block.name)
def test_python_block_that_is_not_run_compiles(block):
    """What cannot be run here is Python all the same."""
    compile(block.body, block.name, "exec")


@pytest.mark.parametrize(("where", "command"), COMMANDS)
def test_command_parses(where, command):
    """The shell accepts it, and what it names of ours exists: make targets, scripts, options of our commands."""
    subprocess.run(["sh", "-n", "-c", command], check=True)
    words = shlex.split(command)
    while "=" in words[0]:
        words.pop(0)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), where
    elif words[:3] == ["python", "-m", "preemptio"]:
        read(words[3:])
    elif words[:2] == ["python", "-m"]:
        assert (ROOT / words[2]).exists(), where
    elif words[0] == "python":
        assert (ROOT / words[1]).exists(), where
    else:
        assert words[0] in ("pip", "pytest", "uvicorn"), f"{where}: what is {words[0]}?"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """A link to a file of the project finds it, and a link to a heading finds that."""
    for target, anchor in LINK.findall(re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)):
        path = (page.parent / target) if target else page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, f"{target}#{anchor}"


def test_every_fence_is_closed_and_known():
    """Each block is Python, what Python prints, a console session, or knobs.md's shell line; none is missed."""
    assert {block.kind for block in BLOCKS} <= {"python", "text", "console", "sh"}
    assert len([b for b in BLOCKS if b.kind == "text"]) == len([b for b in PYTHON if b.output is not None])
    assert sum(page.read_text().count("```") for page in PAGES) == 2 * len(BLOCKS)


def test_latency_figures_are_those_that_were_measured():
    """The README's table and the picture are what docs/latency.json gives."""
    subprocess.run([sys.executable, ROOT / "docs" / "make_latency.py", "--check"], check=True)


def test_benchmark_figures_are_those_that_were_measured():
    """The page of benchmarks, its plots and the tables in other pages are what docs/benchmarks.json gives."""
    command = [sys.executable, "-m", "benchmarks.report", "docs/benchmarks.json", "--pages", "--check"]
    subprocess.run(command, cwd=ROOT, check=True)
