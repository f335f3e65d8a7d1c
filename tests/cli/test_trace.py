"""trace: a program is recorded whatever becomes of it, and the files can be read."""

import json

import pytest

PROGRAM = """
import asyncio, sys
async def work():
    await asyncio.sleep(0.05)
async def main():
    await asyncio.gather(*[asyncio.create_task(work(), name=f"worker {n}") for n in range(3)])
asyncio.run(main())
asyncio.run(main())
print(sys.argv[1:], __name__)
"""


@pytest.fixture
def program(tmp_path):
    """The path of a program with the lines that it is given at its end."""

    def write(end=""):
        path = tmp_path / "program.py"
        path.write_text(PROGRAM + end)
        return path

    return write


def test_from_run_to_summary(cli, program, tmp_path):
    """The program finds its own words; each of its loops is in the file; that can be converted and summed up."""
    done = cli("trace", "run", "-o", "t.ptrace", "--seconds", "60", program(), "-o", "its own")
    assert (done.returncode, done.stdout) == (0, "['-o', 'its own'] __main__\n"), done.stderr
    assert f"{tmp_path}/t.ptrace is written" in done.stderr
    summed = cli("trace", "summary", "t.ptrace", "--top", "3")
    assert summed.returncode == 0, summed.stderr
    assert summed.stdout.count("recorded for") == 2
    assert "waiting: sleep" in summed.stdout
    assert "more Gs" in summed.stdout
    for name in ("t.json", "t.pftrace"):
        done = cli("trace", "convert", "t.ptrace", name)
        assert (done.returncode, done.stderr) == (0, "")
    names = {
        event.get("args", {}).get("name", "") for event in json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    }
    assert any(name.endswith("worker 2") for name in names)
    assert (tmp_path / "t.pftrace").stat().st_size > 1000


@pytest.mark.parametrize(
    ("end", "status"), [("sys.exit(7)", 7), ("raise KeyError('its own')", 1), ("raise KeyboardInterrupt", 130)]
)
def test_however_it_ends(cli, program, tmp_path, end, status):
    """The exit status is the program's, and the file is there; with the ending .json for a viewer at once."""
    done = cli("trace", "run", "-o", "t.json", program(end))
    assert done.returncode == status
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]


def test_a_full_disk(cli, program):
    """Costs the trace, and not the program's outcome."""
    done = cli("trace", "run", "-o", "/dev/full", program("sys.exit(7)"))
    assert done.returncode == 7
    assert "preemptio: " in done.stderr
    assert "the trace was not written: No space left on device" in done.stderr


def test_what_did_not_fit_is_said(cli, program):
    """With what to type to have more of it."""
    more = """
async def steps():
    for _ in range(9000):
        await asyncio.sleep(0)
asyncio.run(steps())
"""
    done = cli("trace", "run", "--max-bytes", "262144", program(more))
    assert done.returncode == 0
    assert "records were dropped, the oldest. Type: --max-bytes" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("trace", "run"),
        ("trace", "run", "nothing.py"),
        ("trace", "run", "-o", "/nowhere/t.json", "program.py"),
        ("trace", "run", "--seconds", "x", "program.py"),
        ("trace", "run", "--max-bytes", "7", "program.py"),
        ("trace", "convert", "nothing.ptrace", "t.json"),
        ("trace", "convert", "program.py", "t.json"),
        ("trace", "convert", "program.py", "t.xyz"),
        ("trace", "summary", "program.py"),
        ("trace", "summary", "nothing.ptrace"),
        ("trace", "summary", "nothing.ptrace", "--top", "0"),
        ("trace",),
    ],
)
def test_refusals(cli, one_line, program, words):
    """One line, with what to type."""
    program()
    one_line(cli(*words))
