"""What runs a loop without being a server: test runners, notebooks, anyio. Each in a process of its own."""

import json
import os
import subprocess
import sys

import pytest

from tests.servers._server import APPS, environment

ASK = "import json; from beside import check; print(json.dumps(await check()))"


def output(*arguments):
    """Return what a Python program wrote that ended well."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=APPS,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def answer(*arguments):
    """Return the last line of such a program's, as JSON."""
    return json.loads(output(*arguments).splitlines()[-1])


def check(said):
    """The loop is ours, and others run beside a task that computes."""
    assert said["loop"].startswith("Preemptio"), said
    assert said["task"] == "Task"
    assert said["beside"], "nobody else ran while a task computed"


def test_anyio():
    """anyio.run with a loop_factory; a scope's deadline comes beside a computation."""
    said = answer("anyio_main.py")
    check(said)
    assert said["cancelled"]


def test_anyios_pytest_plugin():
    """The same by the fixture anyio_backend."""
    assert "1 passed" in output(
        "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", "-p", "no:cacheprovider", "suite_anyio.py"
    )


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a loop in a thread has no tick before 3.12: checkpoints only")
def test_starlettes_test_client():
    """Its loop is in a thread, where a monitor interrupts."""
    check(answer("testclient_main.py"))


@pytest.mark.slow
def test_ipython():
    """IPython makes its loop by asyncio's policy, which `preemptio run` has set."""
    check(answer("-m", "preemptio", "run", "-m", "IPython", "--no-banner", "--quick", "-c", ASK))


@pytest.mark.slow
def test_a_notebook():
    """install() in a cell puts the runtime on the kernel's loop: the next cell runs while a task computes."""
    said = answer("ipykernel_main.py")
    check(said)
    assert said["next cell"]
