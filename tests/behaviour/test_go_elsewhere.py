"""go, timeout and wait where there is no runtime: refused with what to do, and no coroutine left unawaited."""

import asyncio
import gc

import pytest

import preemptio


async def coroutine():
    pass


def test_go_without_a_loop():
    """Without a running loop go() says how to start one."""
    with pytest.raises(preemptio.NotInstalledError, match=r"preemptio\.run"):
        preemptio.go(coroutine)
    with pytest.raises(preemptio.NotInstalledError):
        preemptio.go(coroutine())
    gc.collect()


def test_go_on_a_stock_loop():
    """On asyncio's loop go() says that the runtime is missing."""

    async def main():
        with pytest.raises(preemptio.NotInstalledError, match="no preemptio runtime"):
            preemptio.go(coroutine)

    asyncio.run(main())
    gc.collect()


def test_timeout_on_a_stock_loop():
    """In a task of asyncio's loop preemptio.timeout is refused when it is entered."""

    async def main():
        with pytest.raises(preemptio.NotAGError):
            async with preemptio.timeout(1):
                pass

    asyncio.run(main())


def test_wait_on_a_stock_loop():
    """In a task of asyncio's loop, and at module level, wait() is refused and the coroutine closed."""

    async def main():
        with pytest.raises(preemptio.NotAGError):
            preemptio.wait(coroutine())

    asyncio.run(main())
    with pytest.raises(preemptio.NotAGError):
        preemptio.wait(coroutine())
    gc.collect()


def test_checkpoints_without_a_loop():
    """checkpoint, should_yield, charge and nopreempt do nothing where nothing is scheduled."""
    preemptio.checkpoint()
    assert not preemptio.should_yield()
    preemptio.charge(10_000)
    with preemptio.nopreempt("nothing to protect"):
        preemptio.checkpoint()
