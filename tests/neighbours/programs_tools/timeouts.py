"""A suite for pytest-timeout, run by test_pytest_timeout.py. Each test hangs beside a hog that is preempted."""

import asyncio
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pytest
from _hogs import Flag, again, preempted, spin

import preemptio


def loop():
    return preemptio.new_event_loop(asyncio.SelectorEventLoop)


def hang():
    while True:
        pass


async def beside(hogs):
    """Hang beside hogs, and say which source their tick has. The timeout is raised in whichever runs: any ends it."""
    flag = Flag()
    print("SOURCE", asyncio.get_running_loop()._ticker.source, flush=True)
    tasks = [preemptio.go(spin, flag) for _ in range(hogs)]
    done, _ = await asyncio.wait([*tasks, preemptio.go(hang)], return_when=asyncio.FIRST_COMPLETED)
    print("PREEMPTED", all(map(preempted, tasks)), flush=True)
    flag.stop = True
    for task in done:
        task.result()


@pytest.mark.timeout(0.5, method="signal")
def test_armed_before():
    preemptio.run(beside(2), loop_factory=loop)


@pytest.mark.timeout(0.5, method="signal")
def test_armed_before_and_alone():
    preemptio.run(beside(0), loop_factory=loop)


@pytest.mark.timeout(0.5, method="thread")
def test_thread():
    preemptio.run(beside(2), loop_factory=loop)


@pytest.mark.timeout(20, method="signal")
def test_passes():
    """The timeout is armed while the loop of `main` runs."""
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 10


@pytest.mark.timeout(0.3, method="signal")
def test_armed_after():
    hang()


async def main():
    """Run those tests of this file that are named on the command line inside of a task.

    Nothing computes beside it, or the timeout might be raised there.
    """
    await hogs_are_preempted()
    print("SOURCE", asyncio.get_running_loop()._ticker.source, flush=True)
    status = await preemptio.go(pytest.main, sys.argv[1:])
    await hogs_are_preempted()
    print("SOURCE", asyncio.get_running_loop()._ticker.source, "STATUS", int(status), flush=True)


async def hogs_are_preempted():
    flag = Flag()
    hogs = [preemptio.go(spin, flag) for _ in range(2)]
    await again(*hogs)
    flag.stop = True
    await asyncio.gather(*hogs)


if __name__ == "__main__":
    preemptio.run(main(), loop_factory=loop)
