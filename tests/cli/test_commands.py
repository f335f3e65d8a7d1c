"""What is typed: commands, options, settings, and how each mistake is answered."""

import pytest

import preemptio
from preemptio._cli._args import split

BAD_VARIABLES = {
    "PREEMPTIO_SLICE": "soon",
    "PREEMPTIO_SOURCE": "sundial",
    "PREEMPTIO_BUDGET": "0",
    "PREEMPTIO_GRACE": "-1",
    "PREEMPTIO_POLICY": "mine",
    "PREEMPTIO_ALLOW": "my-lib",
    "PREEMPTIO_DEBUG": "wizard=1",
}


def test_help_names_the_commands(cli):
    """--help answers on standard output, status 0, and names every command."""
    result = cli("--help")
    assert (result.returncode, result.stderr) == (0, "")
    for command in ("demo", "run", "info"):
        assert f"\n    {command} " in result.stdout


@pytest.mark.parametrize("command", ["demo", "run", "info"])
def test_help_of_a_command(cli, command):
    """Each command has a --help of its own."""
    result = cli(command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"usage: python -m preemptio {command}")


def test_version(cli):
    """--version prints name and version."""
    assert cli("--version").stdout == f"preemptio {preemptio.__version__}\n"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ((), "python -m preemptio demo"),
        (("dance",), "'dance'"),
        (("--loud",), "--help"),
        (("info", "--loud"), "--loud"),
        (("info", "more"), "more"),
        (("demo", "--seconds", "long"), "'long'"),
        (("demo", "--seconds", "0"), "--seconds 6"),
        (("demo", "--seconds", "nan"), "'nan'"),
        (("demo", "--slice", "1 hour"), "--slice 2ms"),
        (("demo", "--loop", "trio"), "'trio'"),
        (("demo", "--plain-only", "--preempted-only"), "--plain-only"),
        (("run",), "run script.py"),
        (("run", "--uvloop"), "run script.py"),
        (("run", "-m"), "run -m module"),
        (("run", "--slice"), "--slice"),
        (("run", "--slice", "5us", "x.py"), "between 100us and 1s"),
        (("run", "--sli=1ms", "x.py"), "--sli"),
        (("run", "--uvloop", "--asyncio", "x.py"), "not allowed with"),
        (("run", "--loud", "x.py"), "run --help"),
    ],
)
def test_mistakes_are_answered_in_one_line(cli, one_line, words, part):
    """A mistake in the command line is one line that ends in what to type, and status 2."""
    one_line(cli(*words), part)


@pytest.mark.parametrize("variable", BAD_VARIABLES)
def test_bad_variable(cli, one_line, variable):
    """A bad setting is refused with the variable's name."""
    one_line(cli("info", **{variable: BAD_VARIABLES[variable]}), variable)


@pytest.mark.parametrize("command", [("demo", "--json"), ("run", "script.py")])
def test_bad_variable_stops_every_command(cli, one_line, tmp_path, command):
    """Nothing runs with a setting that will be refused later."""
    (tmp_path / "script.py").write_text("print('it ran')")
    one_line(cli(*command, PREEMPTIO_SLICE="soon"), "PREEMPTIO_SLICE")


def test_closed_pipe(start):
    """A reader that goes away is no error of ours: no traceback."""
    process = start("info")
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stdout = None
    assert process.wait() in (0, 1)


@pytest.mark.parametrize(
    ("words", "cut"),
    [
        ("x.py", ("", False, "x.py")),
        ("x.py --slice 1ms -m y", ("", False, "x.py --slice 1ms -m y")),
        ("--slice 1ms x.py -- -h", ("--slice 1ms", False, "x.py -- -h")),
        ("--slice=1ms --uvloop x.py", ("--slice=1ms --uvloop", False, "x.py")),
        ("-m http.server --help", ("", True, "http.server --help")),
        ("--asyncio -mhttp.server -m", ("--asyncio", True, "http.server -m")),
        ("-- -odd.py -m", ("", False, "-odd.py -m")),
        ("--help x.py", ("--help", False, "x.py")),
        ("--slice", ("--slice", False, "")),
        ("-m", ("", True, "")),
        ("- x", ("", False, "- x")),
    ],
)
def test_where_the_program_begins(words, cut):
    """What stands before the script or the module is ours; it and what stands behind it are the program's."""
    ours, is_module, program = split(words.split())
    assert (" ".join(ours), is_module, " ".join(program)) == cut


def test_the_console_script_is_this_function(cli, one_line):
    """The function that pyproject.toml names works, and calls itself what the user typed."""
    code = "import sys; from preemptio._cli import main; sys.argv = ['/bin/preemptio', 'dance']; sys.exit(main())"
    one_line(cli(python=["-c", code]), "Type: preemptio --help")
