"""stop_the_world: every other G at a safe point."""

import asyncio

import pytest

import preemptio
from preemptio.lowlevel import Gstatus, all_gs, current_g, pauses
from tests.behaviour._support import Flag, parked, spin, turns

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


async def test_nobody_else_runs():
    """Whatever they were doing, and however the body waits; afterwards they go on."""
    ran = []

    async def ticks():
        while True:
            ran.append("tick")
            await asyncio.sleep(0)

    with Flag() as flag:
        hog, ticking = preemptio.go(spin, flag), asyncio.create_task(ticks())
        due = asyncio.Event()
        sleeping = asyncio.create_task(due.wait())
        await parked(hog)
        async with preemptio.stop_the_world("test"):
            others = [g for g in all_gs(asyncio.get_running_loop()) if g is not current_g()]
            assert others
            assert all(g.status.scanned for g in others)
            before, slices = len(ran), hog.g.slices
            due.set()
            await asyncio.sleep(0.02)
            assert (len(ran), hog.g.slices, sleeping.done()) == (before, slices, False)
        await sleeping
        while len(ran) == before or hog.g.slices == slices:
            await asyncio.sleep(0)
        ticking.cancel()


async def test_what_is_born_meanwhile():
    """A task that a callback or the body starts begins when the world goes on."""
    ran, made = [], []

    async def born(who):
        ran.append(who)

    def start(who):
        made.append(asyncio.create_task(born(who)))

    async with preemptio.stop_the_world("test"):
        asyncio.get_running_loop().call_soon(start, "callback")
        start("body")
        await asyncio.sleep(0.01)
        assert len(made) == 2
        assert not ran
    await asyncio.gather(*made)
    assert sorted(ran) == ["body", "callback"]


@pytest.mark.uninjected("the order in which they come")
async def test_one_after_the_other():
    """Those who stop the world wait for their turn, in the order in which they came."""
    order, inside = [], []

    async def body(n):
        async with preemptio.stop_the_world("test"):
            inside.append(n)
            await turns(3)
            assert inside == [n]
            inside.clear()
            order.append(n)

    await asyncio.gather(*[body(n) for n in range(6)])
    assert order == list(range(6))
    assert pauses()["test"].count == 6


async def test_nested():
    """The same task in the same stop: one pause."""
    task = asyncio.create_task(asyncio.sleep(0))
    async with preemptio.stop_the_world("outer"):
        async with preemptio.stop_the_world("inner"):
            pass
        await turns(5)
        assert not task.done()
    await task
    assert list(pauses()) == ["outer"]


async def test_the_times():
    """Until the last one stood, and until they went on: the second is the longer one."""
    async with preemptio.stop_the_world("test"):
        await asyncio.sleep(0.02)
    pause = pauses()["test"]
    assert 0 < pause.stopping <= pause.total - 0.015
    assert (pause.stopping_max, pause.total_max) == (pause.stopping, pause.total)


async def test_an_error_in_the_body():
    """The world goes on."""
    task = asyncio.create_task(asyncio.sleep(0))
    with pytest.raises(KeyError):
        async with preemptio.stop_the_world("test"):
            raise KeyError
    await task


async def test_a_reader_of_one_stays():
    """Who holds a G besides keeps it when the world goes on."""
    task = asyncio.create_task(asyncio.sleep(0))
    state = await preemptio.suspend_g(task)
    async with preemptio.stop_the_world("test"):
        assert task.g.suspended
    await turns(5)
    assert (task.g.suspended, task.done()) == (True, False)
    preemptio.resume_g(state)
    await task


async def test_cancelled():
    """In the body, and while it waits for its turn."""

    async def body():
        async with preemptio.stop_the_world("test"):
            await asyncio.sleep(60)

    other = asyncio.create_task(asyncio.sleep(0.001))
    first, second = asyncio.create_task(body()), asyncio.create_task(body())
    asyncio.get_running_loop().call_later(0.01, first.cancel)
    asyncio.get_running_loop().call_later(0.01, second.cancel)
    await asyncio.wait([first, second])
    await other
    assert (first.cancelled(), second.cancelled()) == (True, True)
    assert not any(g.suspended for g in all_gs(asyncio.get_running_loop()))


async def test_a_g_of_its_own_is_needed():
    """A callback has none to keep out of the stop."""
    said = []

    async def ask():
        async with preemptio.stop_the_world("test"):
            pass

    def callback():
        coro = ask()
        try:
            coro.send(None)
        except preemptio.NotAGError as exc:
            said.append(str(exc))

    asyncio.get_running_loop().call_soon(callback)
    await turns(3)
    assert "inside a task" in said[0]


async def test_statuses_are_as_they_were():
    """Stopping changes nothing of them."""
    event = asyncio.Event()
    task = asyncio.create_task(event.wait())
    await turns(3)
    async with preemptio.stop_the_world("test"):
        assert task.g.status is Gstatus.SCANWAITING
    assert task.g.status is Gstatus.WAITING
    event.set()
    await task
