"""run: the program's tasks are preempted, and what cannot be run is refused in one line."""

import signal

import pytest

# It ends only if it is preempted: `more` runs when `hog` was stopped in the middle.
HOG = """
import asyncio
done = []
async def hog():
    for _ in range(50_000_000):
        if done:
            return "preempted"
    return "never preempted"
async def more():
    done.append(1)
async def main():
    first = asyncio.create_task(hog())
    await asyncio.create_task(more())
    print(await first)
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("nothing.py",), "nothing.py"),
        (("program",), "run program.py"),
        (("http.server",), "run -m http.server"),
        (("empty",), "__main__"),
        (("-m", "no_such_module"), "no_such_module"),
        (("-m", "json"), "json"),
        (("-m", "program.py"), "program"),
        (("-m", ""), "Type"),
    ],
)
def test_nothing_to_run(cli, one_line, program, tmp_path, words, part):
    """What cannot be run is refused in one line, with what was probably meant."""
    program("")
    (tmp_path / "empty").mkdir()
    one_line(cli("run", *words), part)


def test_help_behind_the_module_is_the_modules(cli):
    """`run -m http.server --help` shows http.server's help."""
    result = cli("run", "-m", "http.server", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "--bind" in result.stdout


@pytest.mark.parametrize("loop", ["--asyncio", "--uvloop"])
def test_tasks_are_preempted(cli, program, loop):
    """A task that computes and never awaits makes room for another one."""
    program(HOG)
    result = cli("run", loop, "--slice", "1ms", "program.py")
    assert (result.returncode, result.stdout) == (0, "preempted\n")


def test_without_optional_packages(cli, program, hidden):
    """Neither rich nor uvloop is needed."""
    program(HOG)
    result = cli("run", "--slice=1ms", "program.py", first=hidden("rich", "uvloop"))
    assert (result.returncode, result.stdout) == (0, "preempted\n")


def test_uvloop_that_is_not_there(cli, one_line, program, hidden):
    """--uvloop without uvloop is refused with what to install."""
    program("")
    one_line(cli("run", "--uvloop", "program.py", first=hidden("uvloop")), "pip install 'preemptio[uvloop]'")


@pytest.mark.parametrize(("allow", "expected"), [("", "never preempted"), ("library", "preempted")])
def test_code_in_site_packages(cli, program, tmp_path, allow, expected):
    """A coroutine of an installed package is left alone unless PREEMPTIO_ALLOW names the package."""
    library = HOG.replace("50_000_000", "1_000_000").replace("asyncio.run(main())", "")
    program(library, "site-packages/library/__init__.py")
    program("import asyncio, library; asyncio.run(library.main())")
    result = cli("run", "--slice=1ms", "program.py", last=str(tmp_path / "site-packages"), PREEMPTIO_ALLOW=allow)
    assert result.returncode == 0
    assert result.stdout.splitlines()[-1] == expected


def test_slice_reaches_the_program(cli, program):
    """--slice is the knob's value in the program, and wins over the environment."""
    program("import preemptio; print(preemptio.config.slice)")
    assert cli("run", "--slice", "3ms", "program.py", PREEMPTIO_SLICE="7ms").stdout == "0.003\n"
    assert cli("run", "program.py", PREEMPTIO_SLICE="7ms").stdout == "0.007\n"


def test_nothing_is_left_armed(cli, program):
    """When the program's loop has ended, the timer and its signal are as they were."""
    program(HOG + "import signal; print(signal.getitimer(signal.ITIMER_REAL), signal.getsignal(signal.SIGALRM))")
    assert cli("run", "program.py").stdout.splitlines()[-1] == f"(0.0, 0.0) {signal.SIG_DFL!s}"
