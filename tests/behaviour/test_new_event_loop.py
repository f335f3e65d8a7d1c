"""preemptio.new_event_loop: what it makes, and what it refuses."""

import asyncio
import gc
import selectors

import pytest
import uvloop

import preemptio
from preemptio._aio._hop import HopLoop
from tests.behaviour._support import Flag, parked, spin

pytestmark = pytest.mark.loop


async def hog_is_preempted():
    flag = Flag()
    task = preemptio.go(spin, flag)
    await parked(task)
    flag.stop = True
    return bool(await task)


def test_the_default():
    """uvloop where it is installed; None and no argument are the same."""
    for loop in (preemptio.new_event_loop(), preemptio.new_event_loop(None)):
        assert isinstance(loop, uvloop.Loop)
        assert loop.run_until_complete(hog_is_preempted())
        loop.close()


def test_a_class_of_the_users():
    """A subclass of asyncio's loop keeps its own methods; the class is made once per base."""

    class Mine(asyncio.SelectorEventLoop):
        def __init__(self):
            super().__init__(selectors.SelectSelector())

        def mine(self):
            return "mine"

    loops = [preemptio.new_event_loop(Mine) for _ in range(2)]
    assert type(loops[0]) is type(loops[1])
    for loop in loops:
        assert isinstance(loop, Mine)
        assert loop.mine() == "mine"
        assert loop.run_until_complete(hog_is_preempted())
        loop.close()


def test_a_class_with_a_turn_of_its_own():
    """A loop class whose turn we do not know gets the adapter that asks for call_soon only, and preempts."""

    class Strange(asyncio.SelectorEventLoop):
        def _run_once(self):
            super()._run_once()

    loop = preemptio.new_event_loop(Strange)
    assert isinstance(loop, HopLoop)
    assert loop.run_until_complete(hog_is_preempted())
    loop.close()


def test_a_class_with_the_runtime():
    """A class that was made by us is taken as it is."""
    loop = preemptio.new_event_loop(asyncio.SelectorEventLoop)
    again = preemptio.new_event_loop(type(loop))
    assert type(again) is type(loop)
    loop.close()
    again.close()


@pytest.mark.parametrize("thing", [42, "uvloop", object, asyncio.new_event_loop, int])
def test_what_is_no_loop_class(thing):
    """Anything else is a TypeError that shows what to pass."""
    with pytest.raises(TypeError, match="SelectorEventLoop"):
        preemptio.new_event_loop(thing)


def test_a_loop_instead_of_its_class():
    """An instance is refused: install() is for those."""
    loop = asyncio.new_event_loop()
    with pytest.raises(TypeError):
        preemptio.new_event_loop(loop)
    loop.close()


def test_bad_settings_are_told_at_once(monkeypatch):
    """A variable with a bad value is an error when the loop is made, not later, and no half-made loop stays open."""
    monkeypatch.setenv("PREEMPTIO_SLICE", "soon")
    with pytest.raises(preemptio.ConfigError, match="PREEMPTIO_SLICE"):
        preemptio.new_event_loop(asyncio.SelectorEventLoop)
    gc.collect()  # a ResourceWarning here would be an error


@pytest.mark.parametrize("source", ["itimer", "posix", "auto"])
def test_the_sources_of_ticks(make_loop, source):
    """Each source preempts a task that computes."""
    loop = make_loop(source=source)
    assert loop.run_until_complete(hog_is_preempted())
    loop.close()


@pytest.mark.uninjected("nobody stops the task")
def test_no_source(make_loop):
    """Without a tick checkpoints read the clock, and nothing else is interrupted."""
    seen = []

    async def main():
        asyncio.get_running_loop().call_soon(seen.append, "other")
        for _ in range(300_000):
            pass
        assert not seen
        while not seen:
            preemptio.checkpoint()

    loop = make_loop(source="none")
    loop.run_until_complete(main())
    loop.close()
