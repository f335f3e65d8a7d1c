"""The last look of a scan, in which nothing else runs: what is done in it, by count, and what is seen."""

import asyncio
import contextlib
import gc
import sys
from functools import partial

import pytest

import preemptio
from preemptio import scan
from preemptio._aio._retained import CHANGED, Retaining
from preemptio._aio._scan import Scan
from preemptio._preempt import _gcfence
from preemptio.lowlevel import pauses

pytestmark = pytest.mark.loop

MEGABYTE = 1_000_000
LEAKED = 10


class Lines:
    """Counts the lines of Python that are run, in whatever function."""

    def __init__(self):
        self.count = 0

    def __call__(self, _frame, event, _arg):
        self.count += event == "line"
        return self

    def __enter__(self):
        assert sys.gettrace() is None
        frame = sys._getframe(1)
        while frame is not None and frame.f_trace is None:
            frame.f_trace = self
            frame = frame.f_back
        sys.settrace(self)

    def __exit__(self, *_):
        sys.settrace(None)
        frame = sys._getframe(1)
        while frame is not None and frame.f_trace is self:
            frame.f_trace = None
            frame = frame.f_back


@pytest.fixture
def in_the_pause(monkeypatch):
    """Have a function called before each last look, and give what it returns the length of it."""

    def have(before):
        moment = Scan.moment

        @contextlib.asynccontextmanager
        async def watched(self):
            inside = await before()
            async with moment(self):
                with inside:
                    yield

        monkeypatch.setattr(Scan, "moment", watched)

    return have


def run(main, factory=lambda: preemptio.new_event_loop(asyncio.SelectorEventLoop)):
    return preemptio.run(main, loop_factory=factory)


async def until(event):
    await event.wait()


async def holding(_thing):
    await asyncio.sleep(3600)


@pytest.mark.uninjected("how many lines are run")
@pytest.mark.parametrize("what", ["retained", "leaks"])
def test_it_grows_neither_with_the_heap_nor_with_the_tasks(what, in_the_pause):
    """Not a line more is run for ten times the tasks, or for a heap of a hundred thousand objects."""
    lines = []

    async def counted():
        lines.append(Lines())
        return lines[-1]

    async def main(tasks, objects):
        event = asyncio.Event()
        lost = [asyncio.create_task(until(asyncio.Event())) for _ in range(LEAKED)]
        heap = [[n] for n in range(objects)]
        waiting = [asyncio.create_task(until(event)) for _ in range(tasks)]
        waiting.append(asyncio.create_task(holding(heap)))
        await asyncio.sleep(0.001)
        found = await getattr(scan, what)()
        assert what == "retained" or len(found) == len(lost)
        event.set()

    in_the_pause(counted)
    with preemptio.config.override(source="none"):  # a tick's lines would be counted
        for tasks, objects in ((30, 10), (300, 10), (30, 100_000)):
            run(main(tasks, objects))
    few, many, large = (each.count for each in lines)
    assert few > 5
    assert many == large == few


async def noted(inside):
    """Return a block in which `inside` is not empty."""

    @contextlib.contextmanager
    def pause():
        inside.append(None)
        yield
        inside.clear()

    return pause()


@pytest.mark.parametrize("what", ["retained", "leaks"])
def test_no_collection_begins_in_it(what, in_the_pause):
    """One that is due waits until it is over; and whoever has switched it off finds it off."""
    inside, began = [], []

    def note(phase, _info):
        if phase == "start":
            began.append(bool(inside))

    async def main():
        waiting = [asyncio.create_task(until(asyncio.Event())) for _ in range(LEAKED)]
        await asyncio.sleep(0.001)
        await getattr(scan, what)()
        assert gc.isenabled() is switched
        return waiting

    in_the_pause(partial(noted, inside))
    before = gc.get_threshold()
    _gcfence.gc.callbacks.append(note)
    try:
        for switched in (True, False):
            gc.set_threshold(2, 1, 1)
            if not switched:
                gc.disable()
            run(main())
    finally:
        gc.enable()
        gc.set_threshold(*before)
        _gcfence.gc.callbacks.remove(note)
    assert began.count(False) > 10
    assert True not in began


@pytest.mark.parametrize("what", ["retained", "leaks"])
def test_it_begins_a_step_of_its_own(what, in_the_pause):
    """With the one before ends the search for a safe point that a tick may have begun: it traces every line."""
    ticks = []

    class Note:
        def __enter__(self):
            ticks.append(asyncio.get_running_loop()._p.schedtick)

        def __exit__(self, *_):
            pass

    async def before():
        Note().__enter__()
        return Note()

    async def main():
        return await getattr(scan, what)()

    in_the_pause(before)
    run(main())
    earlier, inside = ticks
    assert inside > earlier


@pytest.mark.parametrize("eager", [False, True])
def test_who_runs_just_before_it_is_seen(eager, in_the_pause):
    """Who was woken, and who was born, when all had been asked already.

    What they hold is large: at the address of what is small there may have been something else during the scan.
    """
    if eager and not hasattr(asyncio, "eager_task_factory"):
        pytest.skip("new in 3.12")
    wake, born = asyncio.Event(), []

    async def grows():
        await wake.wait()
        large = bytes(MEGABYTE)
        await asyncio.sleep(3600)
        del large

    async def change():
        wake.set()
        born.append(asyncio.create_task(holding(bytes(MEGABYTE))))
        for _ in range(10):
            await asyncio.sleep(0)
        return contextlib.nullcontext()

    async def main():
        if eager:
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        task = asyncio.create_task(grows())
        await asyncio.sleep(0.001)
        instruments = list(asyncio.get_running_loop()._p.instruments)
        report = await scan.retained()
        assert list(asyncio.get_running_loop()._p.instruments) == instruments
        return [report.of(each).size for each in (task, *born)]

    in_the_pause(change)
    sizes = run(main())
    assert len(sizes) == 2
    assert [size for size in sizes if not MEGABYTE < size < 1.2 * MEGABYTE] == []


def test_few_are_looked_at_in_it_however_many_run(in_the_pause, monkeypatch):
    """Those who run all the time are looked at one by one before; nobody is left out of the report."""
    looked, inside = [], []
    roots = Retaining._roots

    def counted(self, task):
        looked.append(bool(inside))
        return roots(self, task)

    async def runs(_thing):
        while True:
            await asyncio.sleep(0)

    async def main():
        tasks = [asyncio.create_task(runs(bytes(MEGABYTE // 10))) for _ in range(5 * CHANGED)]
        await asyncio.sleep(0)
        report = await scan.retained(background=False)
        for task in tasks:
            task.cancel()
        return [report.of(task).size for task in tasks]

    monkeypatch.setattr(Retaining, "_roots", counted)
    in_the_pause(partial(noted, inside))
    sizes = run(main())
    assert 0 < looked.count(True) <= CHANGED
    assert looked.count(False) >= len(sizes)
    assert [size for size in sizes if size < MEGABYTE // 10] == []


def test_it_is_recorded():
    """As a pause by its reason, which has nobody to stop."""

    async def main():
        await scan.retained()
        await scan.leaks()
        return pauses()["scan"]

    pause = run(main())
    assert (pause.count, pause.stopping) == (2, 0.0)
    assert 0 < pause.total_max <= pause.total
