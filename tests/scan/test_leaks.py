"""scan.leaks(): every leak is found and nothing else is, in many small programs."""

import asyncio
import gc
import os
import random
import subprocess
import sys

import pytest

import preemptio
from preemptio import scan
from preemptio._aio import _leaks
from preemptio._scan._leaks import OURS, counts_and_referents
from preemptio._scan._mark import Mark
from preemptio.lowlevel import Gstatus, pauses
from tests.scan.leak_programs import HELD, PROGRAMS, Go

pytestmark = pytest.mark.loop


def on_asyncio():
    return preemptio.new_event_loop(asyncio.SelectorEventLoop)


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def factory(request):
    if request.param == "uvloop":
        uvloop = pytest.importorskip("uvloop")
        return lambda: preemptio.new_event_loop(uvloop.Loop)
    return on_asyncio


async def all_programs():
    """Run them all at once; return each one's tasks with what was expected and what was found."""
    started = []
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # a forgotten gather is the subject
    for name, program in PROGRAMS.items():
        started.append(Go(name))
        await program(started[-1])
    for _ in range(10):
        await asyncio.sleep(0.001)
    gc.collect()
    found = {leak.name for leak in await scan.leaks()}
    leaked = {task.get_name() for go in started for task in go.expected if task.g.status is Gstatus.LEAKED}
    again = {leak.name for leak in await scan.leaks()}
    results = {go.name: [(want, task.get_name() in found) for task, want in go.expected.items()] for go in started}
    for go in started:
        for at_end in go.at_end:
            ending = at_end()
            if asyncio.iscoroutine(ending):
                await ending
        for task in go.expected:
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
    await asyncio.sleep(0.001)  # what is closed is closed by callbacks
    ends = await asyncio.gather(*[task for go in started for task in go.expected], return_exceptions=True)
    HELD.clear()
    return results, found, leaked, again, ends


@pytest.fixture(scope="module")
def outcome(factory):
    return preemptio.run(all_programs(), loop_factory=factory)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program(outcome, name):
    """Each task of it is found leaked if and only if it is."""
    assert [found for _, found in outcome[0][name]] == [want for want, _ in outcome[0][name]]


def test_the_status_is_leaked_and_stays_found(outcome):
    """What is found has the status, is found by the next scan again, and can be cancelled all the same."""
    _, found, leaked, again, ends = outcome
    assert found == leaked == again
    assert len(found) > 40
    assert not [end for end in ends if isinstance(end, preemptio.InternalError)]


def test_there_are_enough_of_both(outcome):
    """Many leaks and many healthy twins: an answer that is always the same would be wrong for one kind."""
    kinds = [{want for want, _ in pairs} for pairs in outcome[0].values()]
    assert len(kinds) >= 40
    assert sum(True in kind for kind in kinds) >= 30
    assert sum(False in kind for kind in kinds) >= 30


def wrong(results):
    return {name: pairs for name, pairs in results.items() if any(want != found for want, found in pairs)}


def test_marks_that_miss_much_cause_no_false_alarm(monkeypatch):
    """The marks only propose: here they miss a third of all references, and the verdicts are the same."""

    class Careless(Mark):
        chance = random.Random(1)

        def take(self, things):
            super().take([thing for thing in things if self.chance.random() > 0.3])

    monkeypatch.setattr(_leaks, "Mark", Careless)
    assert wrong(preemptio.run(all_programs(), loop_factory=on_asyncio)[0]) == {}


def test_it_is_the_counts_that_see_what_no_walk_sees(monkeypatch):
    """Negative control: with counts that are always explained, and such marks, there are false alarms."""

    class Careless(Mark):
        def take(self, things):
            pass

    def explained(things):
        _, referents = counts_and_referents(things)
        counts = dict.fromkeys(map(id, things), OURS)
        for each in referents:
            for thing in each:
                counts[id(thing)] = counts.get(id(thing), 0) + 1
        return [counts[id(thing)] for thing in things], referents

    monkeypatch.setattr(_leaks, "Mark", Careless)
    monkeypatch.setattr("preemptio._scan._leaks.counts_and_referents", explained)
    results = preemptio.run(all_programs(), loop_factory=on_asyncio)[0]
    assert [name for name, pairs in results.items() if (False, True) in pairs]


def run(main):
    return preemptio.run(main, loop_factory=on_asyncio)


async def until(event):
    await event.wait()


async def leaks_beside_a_planted_one():
    """Return what is found leaked: that nothing is says something only if the planted leak is found."""
    planted = asyncio.create_task(until(asyncio.Event()))
    await asyncio.sleep(0)
    found = await scan.leaks()
    assert planted.g in [leak.g for leak in found]
    planted.cancel()
    return [leak for leak in found if leak.g is not planted.g]


def test_a_leaked_task_that_is_woken_after_all_runs_on():
    """Its status goes back with the wake-up, also while it is held."""

    async def main():
        events = [asyncio.Event() for _ in range(2)]
        tasks = [asyncio.create_task(until(event)) for event in events]
        await asyncio.sleep(0)
        for task in tasks:
            task.g.status = Gstatus.LEAKED
        events[0].set()
        assert tasks[0].g.status is Gstatus.RUNNABLE
        async with preemptio.suspended(tasks[1]):
            events[1].set()
            await asyncio.sleep(0)
            assert tasks[1].g.status.base is Gstatus.LEAKED
        assert tasks[1].g.status is Gstatus.RUNNABLE
        await asyncio.gather(*tasks)

    run(main())


def test_a_function_that_is_leaked_can_be_cancelled():
    """It stands in preemptio.wait: the cancellation is raised there."""

    async def main():
        def wait():
            preemptio.wait(asyncio.Event().wait())

        task = preemptio.go(wait)
        await asyncio.sleep(0.001)
        (leak,) = await scan.leaks()
        assert leak.g is task.g
        async with preemptio.suspended(task):
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_a_leak_says_where_it_is():
    """Stack, wait reason, age and birth; and it keeps nothing alive."""

    async def main():
        task = asyncio.create_task(until(asyncio.Event()), name="lost")
        await asyncio.sleep(0.01)
        (leak,) = await scan.leaks()
        task.cancel()
        assert pauses()["scan"].count == 1
        return leak

    leak = run(main())
    assert leak.name == "lost"
    assert str(leak.wait_reason) == "asyncio.Event"
    assert leak.age > 0
    assert __file__ in leak.created_at
    assert [frame.function for frame in leak.stack.frames] == ["until", "Event.wait"]
    assert "[leaked: asyncio.Event]" in str(leak)


def test_main_is_never_leaked():
    """It waits for ever, as servers do: Ctrl-C ends it. What it can reach lives as well."""

    async def main():
        stop = asyncio.Event()
        results = []

        async def look(_main):
            await asyncio.sleep(0)
            results.extend(await leaks_beside_a_planted_one())
            _main.cancel()

        task = asyncio.create_task(until(stop))
        look_task = asyncio.create_task(look(asyncio.current_task()))
        try:
            await asyncio.Future()
        except asyncio.CancelledError:
            stop.set()
            await asyncio.gather(task, look_task)
        return results

    assert run(main()) == []


def test_a_woken_parent_saves_its_children():
    """It runs while the heap is walked, so the marks did not know that it may run; its group may yet be cancelled."""

    async def main():
        event = asyncio.Event()

        async def parent():
            async with asyncio.TaskGroup() as group:
                group.create_task(until(asyncio.Event()))
                await event.wait()
                del group
                await asyncio.sleep(3600)

        task = asyncio.create_task(parent())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        found = asyncio.create_task(leaks_beside_a_planted_one())
        await asyncio.sleep(0.005)
        event.set()
        leaks = await found
        task.cancel()
        return leaks

    assert run(main()) == []


CIRCLE = """
import asyncio, os, preemptio
from preemptio import scan

async def other(tasks, index):
    await asyncio.sleep(0)
    await tasks[index]

async def main():
    tasks = []
    tasks += [asyncio.create_task(other(tasks, 1)), asyncio.create_task(other(tasks, 0))]
    await asyncio.sleep(0.01)
    print(len(await scan.leaks()), flush=True)
    os._exit(0)  # to cancel either is an endless recursion, in asyncio as well

preemptio.run(main())
"""


def test_tasks_that_await_each_other():
    """The shortest deadlock there is. In a process of its own, since it cannot be ended otherwise."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", CIRCLE], env=environ, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("2\n", 0), done.stderr
