"""What a scan must not do: a G that it looks at twice, or leaves out, is an internal error. Each is planted here."""

import asyncio

import pytest

import preemptio
from preemptio import scan
from preemptio._aio._leaks import LeakScan
from preemptio._aio._retained import Retaining
from preemptio._aio._scan import scan as begin

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


async def until(event):
    await event.wait()


async def sleeper():
    await asyncio.sleep(3600)


async def test_twice():
    """A second job of one round."""
    task = asyncio.create_task(sleeper(), name="the one")
    await asyncio.sleep(0)
    taken = []

    async def work(this):
        for _ in range(2):
            await this.job(task.g, lambda task, _: taken.append(task))

    with pytest.raises(preemptio.InternalError, match=f"G {task.g.id} was scanned twice"):
        await begin(work, "test", background=False)
    assert taken == [task]
    assert not task.g.suspended
    task.cancel()


@pytest.mark.parametrize(("what", "owner", "method"), [("retained", Retaining, "_job"), ("leaks", LeakScan, "_live")])
async def test_missed(what, owner, method, monkeypatch):
    """One that was there at the beginning, lives, and was not looked at."""
    tasks = [asyncio.create_task(sleeper(), name=f"sleeper {n}") for n in range(3)]
    await asyncio.sleep(0)
    left_out = tasks[1].g
    usual = getattr(owner, method)

    async def careless(self, g):
        if g is not left_out:
            await usual(self, g)

    monkeypatch.setattr(owner, method, careless)
    with pytest.raises(preemptio.InternalError, match=f"G {left_out.id} was missed by the scan") as caught:
        await getattr(scan, what)()
    assert "sleeper 1" in str(caught.value)
    monkeypatch.undo()
    assert (await scan.retained()).of(tasks[1])  # an error is not the end of scans
    for task in tasks:
        task.cancel()


@pytest.mark.parametrize(("what", "owner", "method"), [("retained", Retaining, "_job"), ("leaks", LeakScan, "_live")])
async def test_one_that_ends_meanwhile_is_not_missed(what, owner, method, monkeypatch):
    """It is dead, and need not be looked at; neither need one that is born."""
    event = asyncio.Event()
    ending, staying = asyncio.create_task(until(event)), asyncio.create_task(sleeper())
    await asyncio.sleep(0)
    usual, born = getattr(owner, method), []

    async def slow(self, g):
        if not event.is_set():
            event.set()
            born.append(asyncio.create_task(sleeper()))
            await ending
        if g is not ending.g:
            await usual(self, g)

    monkeypatch.setattr(owner, method, slow)
    await getattr(scan, what)()
    assert born
    for task in (staying, *born):
        task.cancel()
