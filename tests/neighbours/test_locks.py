"""Locks of other packages, real ones: filelock's and those of a multiprocessing manager are known without a word."""

import asyncio
import multiprocessing

import filelock
import pytest

import preemptio
from preemptio.lowlevel import Verdict
from tests.neighbours._bank import Hogs, until_preempted, until_refused

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


@pytest.fixture(scope="module")
def manager():
    """A process that keeps locks for others."""
    with multiprocessing.get_context("spawn").Manager() as manager:
        yield manager


@pytest.mark.uninjected("that a tick is refused there: it may be stopped everywhere else")
@pytest.mark.parametrize("kind", ["FileLock", "SoftFileLock", "Lock", "RLock"])
async def test_who_holds_it_is_not_preempted(kind, request, tmp_path):
    """In its `with` the verdict is "lock"; behind it the task is preempted again."""
    if kind.endswith("FileLock"):
        lock = getattr(filelock, kind)(tmp_path / "lock")
    else:
        lock = getattr(request.getfixturevalue("manager"), kind)()
    async with Hogs():
        with lock:
            assert until_refused(Verdict.LOCK) == 0
            assert preemptio.explain().verdict is Verdict.LOCK
        until_preempted(asyncio.current_task())


@pytest.mark.uninjected("what a tick refuses")
async def test_acquire_and_release(tmp_path):
    """filelock's `with lock.acquire():`, whose context manager is an object of another class."""
    lock = filelock.FileLock(tmp_path / "lock")
    async with Hogs():
        with lock.acquire():
            assert until_refused(Verdict.LOCK) == 0
        until_preempted(asyncio.current_task())


async def test_the_one_for_asyncio(tmp_path):
    """AsyncFileLock lets the loop go round while a task waits for it."""
    locks = [filelock.AsyncFileLock(tmp_path / "lock", poll_interval=0.001) for _ in range(4)]
    inside = []

    async def enter(lock):
        async with lock:
            inside.append(1)
            await asyncio.sleep(0.001)
            assert len(inside) == 1
            inside.pop()

    async with Hogs():
        await asyncio.gather(*map(enter, locks))
