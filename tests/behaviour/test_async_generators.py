"""Asynchronous generators that are preempted, closed and left behind."""

import asyncio
import gc

import pytest

import preemptio
from tests.behaviour._support import Flag, parked, spin

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


async def computing(flag, ended):
    try:
        for n in range(3):
            spin(flag)
            yield n
    finally:
        ended.append(True)


async def test_preempted_inside():
    """A generator that computes before each item is preempted there and yields the same items."""
    flag, ended = Flag(), []

    async def consume():
        return [n async for n in computing(flag, ended)]

    task = asyncio.create_task(consume())
    await parked(task)
    flag.stop = True
    assert await task == [0, 1, 2]
    assert ended


async def test_two_consumers_of_one():
    """While one task is parked inside a generator, another that asks it gets asyncio's RuntimeError."""
    flag, ended = Flag(), []
    agen = computing(flag, ended)

    async def consume():
        return await anext(agen)

    task = asyncio.create_task(consume())
    await parked(task)
    with pytest.raises(RuntimeError, match="already running"):
        await anext(agen)
    with pytest.raises(RuntimeError, match="already running"):
        await agen.aclose()
    flag.stop = True
    assert await task == 0
    await agen.aclose()
    assert ended


async def test_aclose_preempted():
    """aclose() of a generator whose `finally` computes is preempted like anything else."""
    flag, ended = Flag(), []

    async def generator():
        try:
            yield 1
        finally:
            ended.append(spin(flag))

    async def consume():
        agen = generator()
        assert await anext(agen) == 1
        await agen.aclose()

    task = asyncio.create_task(consume())
    await parked(task)
    flag.stop = True
    await task
    assert ended


async def test_athrow_preempted():
    """An exception thrown into a generator is still the handled one after it was preempted."""
    flag = Flag()

    async def generator():
        try:
            yield 1
        except KeyError as exc:
            spin(flag)
            yield exc.args

    async def consume():
        agen = generator()
        await anext(agen)
        try:
            return await agen.athrow(KeyError("thrown"))
        finally:
            await agen.aclose()

    task = asyncio.create_task(consume())
    await parked(task)
    flag.stop = True
    assert await task == ("thrown",)


async def test_left_behind():
    """A generator that nobody finishes is closed by the loop when it is collected."""
    closed = asyncio.Event()

    async def generator():
        try:
            yield 1
            yield 2
        finally:
            closed.set()

    async def consume():
        async for _ in generator():
            break

    await preemptio.go(consume)
    gc.collect()
    await asyncio.wait_for(closed.wait(), 20)
