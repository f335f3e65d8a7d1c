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


async def test_the_reasons_are_recorded_apart():
    """How often, and both times: a stop for one reason does not change what is known of another."""
    async with preemptio.stop_the_world("first"):
        pass
    first = pauses()["first"]
    for _ in range(2):
        async with preemptio.stop_the_world("second"):
            await turns(3)
    assert pauses()["first"] == first
    assert {reason: each.count for reason, each in pauses().items()} == {"first": 1, "second": 2}


def eager(coro):
    """Begin a task inside of the step that runs."""
    return asyncio.eager_task_factory(asyncio.get_running_loop(), coro)


needs_eager = pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="new in 3.12")


@needs_eager
@pytest.mark.uninjected("what its parent has done by then")
async def test_an_eager_child_waits_until_its_parent_stands():
    """The parent runs while its child decides to stop the world: that one waits for the end of the step."""
    order = []

    async def child():
        async with preemptio.stop_the_world("test"):
            order.append("stopped")
            others = [g for g in all_gs(asyncio.get_running_loop()) if g is not current_g()]
            assert all(g.status.scanned for g in others)
            await turns(10)
            order.append("goes on")

    async def parent():
        inside = eager(child())
        order.append("parent")
        await asyncio.sleep(0)
        order.append("parent again")
        await inside

    other = asyncio.create_task(asyncio.Event().wait())
    await turns(2)
    await asyncio.create_task(parent())
    assert order == ["parent", "stopped", "goes on", "parent again"]
    assert not other.g.suspended
    other.cancel()


@needs_eager
@pytest.mark.parametrize("way", ["cancelled", "cancelled twice"])
async def test_cancelled_while_it_waits_for_the_last_one(way):
    """Its request is withdrawn, and who was held already is let go: nobody was told of a stop."""
    stopped, children = [], []

    async def child():
        async with preemptio.stop_the_world("test"):
            stopped.append(1)

    async def parent():
        with preemptio.nopreempt("the cancellation comes first"):
            children.append(eager(child()))
            assert waiting.g.suspended
            for _ in way.split():
                children[0].cancel()
        await asyncio.wait(children)

    event = asyncio.Event()
    waiting = asyncio.create_task(event.wait())
    await turns(2)
    task = asyncio.create_task(parent())
    await task
    assert (children[0].cancelled(), stopped) == (True, [])
    assert not task.g.preempt_stop
    assert not any(g.suspended for g in all_gs(asyncio.get_running_loop()))
    assert "test" not in pauses()
    event.set()
    await waiting
    async with preemptio.stop_the_world("next"):
        pass
    assert pauses()["next"].count == 1


@pytest.mark.uninjected("the order in which they come")
async def test_nested_ones_take_their_turn_as_one():
    """Who waits for a turn comes after the outermost stop of the one before, whatever that does inside."""
    order = []

    async def body(n):
        async with preemptio.stop_the_world("outer"):
            order.append((n, "in"))
            for _ in range(2):
                async with preemptio.stop_the_world("inner"):
                    await turns(3)
            order.append((n, "out"))

    await asyncio.gather(*[body(n) for n in range(4)])
    assert order == [(n, what) for n in range(4) for what in ("in", "out")]
    assert {reason: each.count for reason, each in pauses().items()} == {"outer": 4}
