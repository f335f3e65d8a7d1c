"""run: the program sees what it would see under `python`, and ends as it would end there."""

import json
import os
import zipapp

import pytest

REPORT = """
import json, sys
main = sys.modules["__main__"]
print(json.dumps({
    "argv": sys.argv, "path": sys.path[0], "name": __name__, "file": __file__, "doc": __doc__,
    "package": __package__, "spec": __spec__ and __spec__.name, "loader": type(__loader__).__name__,
    "globals": sorted(globals()), "is main": vars(main) is globals(), "code": sys._getframe().f_code.co_filename,
    "builtins": type(__builtins__).__name__, "cached": globals().get("__cached__", "unset"),
}))
"""


def test_a_script_sees_what_it_would_see(both, program):
    """argv, path, `__main__` and all that is in it, for a relative path with words that look like options."""
    program(REPORT, "down/program.py")
    plain, ours = both("down/program.py", "-m", "--help", "--", "--slice", "x", "")
    assert json.loads(plain.stdout)["argv"][-1] == ""
    assert json.loads(ours.stdout) == json.loads(plain.stdout)


def test_a_script_behind_a_link(both, program, tmp_path):
    """The path starts with the directory of the file, not of the link to it."""
    target = program(REPORT, "down/program.py")
    (tmp_path / "link.py").symlink_to(target)
    plain, ours = both("link.py")
    assert json.loads(ours.stdout) == json.loads(plain.stdout)


@pytest.mark.parametrize("name", ["tool", "pack", "pack.tool"])
def test_a_module_sees_what_it_would_see(both, program, name):
    """A module, a package with a `__main__`, a module in a package; the package is imported on the way."""
    program(REPORT, "tool.py")
    program("import sys; print(sys.argv)", "pack/__init__.py")
    program(REPORT, "pack/__main__.py")
    program(REPORT, "pack/tool.py")
    both("-m", name)  # writes the byte code, so that neither of the next two does
    plain, ours = both("-m", name, "--help", "-m", "--")
    assert ours.stdout == plain.stdout
    assert '"--help", "-m", "--"' in ours.stdout


def test_a_directory_and_a_zip_file(both, program, tmp_path):
    """Both are programs if a `__main__.py` is in them."""
    program(REPORT, "app/__main__.py")
    zipapp.create_archive(tmp_path / "app", tmp_path / "app.pyz")
    for name in ("app", "app.pyz"):
        both(name)
        plain, ours = both(name, "x")
        assert json.loads(ours.stdout) == json.loads(plain.stdout)


def test_no_path_entry_where_python_would_add_none(both, program):
    """Under PYTHONSAFEPATH the program's directory is not on the path."""
    program(REPORT)
    plain, ours = both("program.py", PYTHONSAFEPATH="1")
    assert json.loads(ours.stdout) == json.loads(plain.stdout)


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("pass", 0),
        ("import sys; sys.exit()", 0),
        ("import sys; sys.exit(7)", 7),
        ("import sys; sys.exit('no')", 1),
        ("raise SystemExit(True)", 1),
        ("import os; os._exit(9)", 9),
        ("1 / 0", 1),
        ("x = = 1", 1),
        ("import asyncio\nasync def main(): raise SystemExit(5)\nasyncio.run(main())", 5),
    ],
)
def test_exit_status(both, program, source, status):
    """The exit status is the program's, and so is what it says at its end."""
    program(source)
    plain, ours = both("program.py")
    assert (ours.returncode, plain.returncode) == (status, status)
    if "asyncio" not in source:  # there the frames of two loops differ
        assert ours.stderr == plain.stderr


def test_traceback_is_the_programs(both, program):
    """An error in a task is shown as python shows it: no frame of ours."""
    program(
        "import asyncio\n"
        "async def inner(): raise ValueError('inner')\n"
        "async def main():\n"
        "    try: await inner()\n"
        "    except ValueError as error: raise KeyError('outer') from error\n"
        "asyncio.run(main())\n"
    )
    plain, ours = both("program.py", options=["--asyncio"])
    assert ours.returncode == 1
    assert ours.stderr == plain.stderr


def test_the_programs_own_hook_for_errors(cli, program):
    """An exception hook that the program installed is called."""
    program("import sys; sys.excepthook = lambda kind, error, where: print('hook:', kind.__name__); 1 / 0")
    result = cli("run", "program.py")
    assert (result.returncode, result.stdout) == (1, "hook: ZeroDivisionError\n")


@pytest.mark.skipif(os.name == "nt", reason="SIGINT cannot be sent there")
@pytest.mark.parametrize("loop", ["--asyncio", "--uvloop"])
def test_keyboard_interrupt(cli, program, loop):
    """Ctrl-C cancels the main task, as asyncio.run has it, and ends in status 130."""
    program(
        "import asyncio, os, signal\n"
        "async def main():\n"
        "    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)\n"
        "    try: await asyncio.Event().wait()\n"
        "    finally: print('cleaned up')\n"
        "asyncio.run(main())\n"
    )
    result = cli("run", loop, "program.py")
    assert (result.returncode, result.stdout) == (130, "cleaned up\n")
    assert result.stderr.endswith("KeyboardInterrupt\n")


def test_exit_handlers_find_the_programs_main(cli, program):
    """`__main__` stays the program's to the very end: exit handlers pickle what was defined in it."""
    program(
        "import atexit, pickle\n"
        "class Thing: pass\n"
        "atexit.register(lambda: print(type(pickle.loads(pickle.dumps(Thing()))).__module__))\n"
    )
    assert cli("run", "program.py").stdout == "__main__\n"
