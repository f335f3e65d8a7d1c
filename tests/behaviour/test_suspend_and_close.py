"""Suspended Gs of a loop that ends."""

import asyncio
import threading
import time

import pytest
import structlog.testing

import preemptio
from preemptio.lowlevel import Gstatus
from tests.behaviour._support import Flag, parked, spin

pytestmark = pytest.mark.loop


def test_a_loop_that_ends(make_loop):
    """It lets every G go, or the end would never come; and a thread that waits for one is told."""
    kept = []

    async def main():
        hog = preemptio.go(spin, Flag(), cancel="safepoint")
        await parked(hog)
        kept.append(await preemptio.suspend_g(hog))
        kept.append(await preemptio.suspend_g(asyncio.create_task(asyncio.sleep(60))))

    preemptio.run(main(), loop_factory=make_loop)
    assert [state.g.status for state in kept] == [Gstatus.DEAD] * 2


def test_closed_while_a_thread_waits(make_loop):
    """The loop is gone: an error, not a wait without end."""
    loop = make_loop()
    task = loop.create_task(asyncio.sleep(0))
    errors = []

    def ask():
        try:
            preemptio.suspend_g_threadsafe(task)
        except RuntimeError as exc:
            errors.append(str(exc))

    thread = threading.Thread(target=ask)
    thread.start()
    while not loop._suspends.inbox:
        time.sleep(0)
    task.cancel()
    task._log_destroy_pending = False
    task.get_coro().close()
    loop.close()
    thread.join()
    assert errors == ["the event loop was closed"]


def test_a_loop_that_ends_in_a_stopped_world(make_loop):
    """The tasks that its end needs are not held."""
    kept, ended = [], []

    async def other():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("other")

    async def main():
        asyncio.get_running_loop().set_debug(False)
        kept.append(asyncio.create_task(other()))
        await asyncio.sleep(0)
        kept.append(preemptio.stop_the_world("test"))
        await kept[1].__aenter__()

    with structlog.testing.capture_logs():
        preemptio.run(main(), loop_factory=make_loop)
    assert ended == ["other"]
