"""pytest-timeout: its timer is its own, it fires in a hog, and hogs are preempted all the same."""

import os
import signal

import pytest

from preemptio._preempt._sources import ItimerSource
from tests.neighbours._tools import PROGRAMS, python

pytest.importorskip("pytest_timeout")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("PYTEST_DISABLE_PLUGIN_AUTOLOAD" in os.environ, reason="plugins are not loaded"),
]

SUITE = PROGRAMS / "timeouts.py"
OPTIONS = ["-c", os.devnull, "--noconftest", "-q", "-s", "-pno:cacheprovider", "-pno:faulthandler", "-pno:asyncio"]


def test_method_signal(tmp_path):
    """SIGALRM and its timer are its own, also beside a loop; the timeout ends the hog."""
    tests = [f"{SUITE}::test_armed_before", f"{SUITE}::test_armed_before_and_alone"]
    said = python("-m", "pytest", *OPTIONS, *tests, cwd=tmp_path, PREEMPTIO_SLICE="5ms", code=1)
    assert said.count("SOURCE posix") == 2, said
    assert said.count("PREEMPTED True") == 2, said
    assert "tick source unavailable" not in said, said
    assert said.count("Timeout (>0.5s) from pytest-timeout") >= 2, said
    assert "2 failed" in said, said


def test_method_thread(tmp_path):
    """When it ends the process, it shows where the hog was.

    Or the loop, between two slices of the hog.
    """
    said = python("-m", "pytest", *OPTIONS, f"{SUITE}::test_thread", cwd=tmp_path, PREEMPTIO_SLICE="5ms", code=1)
    assert "SOURCE posix" in said, said
    assert "tick source unavailable" not in said, said
    assert "+ Timeout +" in said, said
    assert any(f", in {where}" in said for where in ("hang", "spin", "drain")), said


def test_armed_while_the_loop_runs(tmp_path):
    """A timeout that is armed in a running loop fires, and the tick stays."""
    tests = [f"{SUITE}::test_passes", f"{SUITE}::test_armed_after"]
    said = python(SUITE, *OPTIONS, *tests, cwd=tmp_path, PREEMPTIO_SLICE="5ms")
    assert said.count("Timeout (>0.3s) from pytest-timeout") >= 1, said
    assert "1 failed, 1 passed" in said, said
    assert [line for line in said.splitlines() if line.startswith("SOURCE")] == [
        "SOURCE posix",
        "SOURCE posix STATUS 1",
    ], said


def test_the_timer_of_who_took_the_signal_is_not_touched():
    """The source neither sets nor clears it, also before the loop has noticed that the signal is not its own."""
    source = ItimerSource()
    assert source.start(lambda *_: None)
    source.arm(5)
    try:
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 1000)
        source.arm(5)
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 100
        source.disarm()
        source.disarm()
        source.stop()
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 100
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
