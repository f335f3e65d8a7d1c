"""Instruments: what watches the scheduler is told of every transition, and cannot break it."""

import asyncio
import collections
import contextvars
import gc
import sys
import threading
import time
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

import preemptio
from preemptio import runtime
from preemptio._core._instruments import FAR, LISTENING
from preemptio._core._probe import probe
from preemptio.lowlevel import Gstatus, PreemptKind, Verdict, current_g
from tests.behaviour._support import Flag, parked, spin, turns

pytestmark = [
    pytest.mark.loop,
    pytest.mark.asyncio,
    pytest.mark.uninjected("what is told of each stop, and in which order"),
]


class Watch(runtime.Instrument):
    """Writes down all that it is told: the event, the id of the G, and what is of interest besides."""

    def __init__(self):
        self.seen = []
        self.refusals = 0

    def of(self, task):
        """Return what was told of one task."""
        return [(event, *rest) for event, g, *rest in self.seen if g == task.g.id]

    def created(self, g):
        self.seen.append(("created", g.id))

    def readied(self, g, by):
        self.seen.append(("readied", g.id, by and by.id))

    def started(self, g):
        self.seen.append(("started", g.id, str(g.status), g.parked))

    def stopped(self, g, kind):
        self.seen.append(("stopped", g.id, str(g.status), kind))

    def refused(self, g, verdict, code, lasti):
        self.refusals += 1
        self.seen.append(("refused", g.id, verdict, code.co_name, lasti >= 0))

    def suspended(self, g, seconds):
        self.seen.append(("suspended", g.id, 0 <= seconds < 10))

    def released(self, g):
        self.seen.append(("released", g.id))

    def world_stopped(self, reason, stopping):
        self.seen.append(("world stopped", reason, 0 <= stopping < 10))

    def world_started(self, reason, total):
        self.seen.append(("world started", reason, 0 <= total < 10))

    def gc_began(self, generation):
        self.seen.append(("gc began", generation))

    def gc_ended(self, generation):
        self.seen.append(("gc ended", generation))

    def __enter__(self):
        runtime.add_instrument(self)
        return self

    def __exit__(self, *_exc):
        runtime.remove_instrument(self)


def p():
    """Return the running loop's processor."""
    return asyncio.get_running_loop()._p


async def test_the_life_of_a_task():
    """Created, made ready by whom, given the CPU, parked at an await, ready again, done."""
    with Watch() as watch:
        done = asyncio.get_running_loop().create_future()

        async def wait():
            await done

        me = current_g().id
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        done.set_result(None)
        await task
        assert watch.of(task) == [
            ("created",),
            ("readied", me),
            ("started", "runnable", False),
            ("stopped", "waiting", None),
            ("readied", me),
            ("started", "runnable", False),
            ("stopped", "dead", None),
        ]


async def test_a_timer_readies_as_nobody():
    """What a callback of the loop makes ready was made ready by no G."""
    with Watch() as watch:
        task = asyncio.create_task(asyncio.sleep(0.001))
        await task
        assert watch.of(task)[3:5] == [("stopped", "waiting", None), ("readied", None)]


async def test_a_preemption():
    """Is a stop in the middle of a step, of a kind, and going on is a start of a parked G."""
    with Watch() as watch:
        with Flag() as flag:
            hog = preemptio.go(spin, flag)
            await parked(hog)
        await hog
        seen = watch.of(hog)
        assert ("stopped", "runnable", PreemptKind.ASYNC) in seen
        at = seen.index(("stopped", "runnable", PreemptKind.ASYNC))
        assert seen[at + 1] == ("started", "runnable", True)
        assert seen[-1] == ("stopped", "dead", None)


async def test_waiting_in_a_plain_function():
    """Is a stop as at an await, and ends with a readied G that goes on where it stood."""
    with Watch() as watch:
        future = asyncio.get_running_loop().create_future()
        task = preemptio.go(preemptio.wait, future)
        await parked(task)
        future.set_result(1)
        await task
        assert [event[:3] for event in watch.of(task)][2:] == [
            ("started", "runnable", False),
            ("stopped", "waiting", None),
            ("readied", None),
            ("started", "runnable", True),
            ("stopped", "dead", None),
        ]


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is rescued elsewhere")
async def test_a_blocking_call():
    """One that is set aside is a stop in a system call."""
    with Watch() as watch:
        release = threading.Event()

        async def block():
            release.wait(20)

        task = asyncio.create_task(block())
        await parked(task)
        release.set()
        await task
        assert ("stopped", "syscall", None) in watch.of(task)


async def test_a_refusal():
    """Says of whom, why, and where; in a region where nothing is preempted it is that mask."""
    with Watch() as watch:

        def masked():
            with preemptio.nopreempt("test"):
                while not watch.refusals:
                    pass

        task = preemptio.go(masked)
        await task
        refused = [event for event in watch.of(task) if event[0] == "refused"]
        assert refused[0] == ("refused", Verdict.MASKED, "masked", True)


async def test_a_step_that_finds_its_context_taken():
    """Has not run: its start has an end, and it starts again later."""
    with Watch() as watch:
        context = contextvars.copy_context()
        with Flag() as flag:
            hog = preemptio.go(spin, flag, context=context)
            await parked(hog)
            other = preemptio.go(int, context=context)
            await turns(5)
            assert not other.done()
        await asyncio.gather(hog, other)
        assert [event[:2] for event in watch.of(other)][1:] == [
            ("readied", current_g().id),
            ("started", "runnable"),
            ("stopped", "runnable"),
            ("started", "runnable"),
            ("stopped", "dead"),
        ]


async def test_cpu_time():
    """Is told whenever it is put to the account of a G: the sum is what the G has."""

    class Cpu(runtime.Instrument):
        def __init__(self):
            self.of = collections.Counter()

        def charged(self, g, seconds):
            self.of[g] += seconds

    cpu = Cpu()
    runtime.add_instrument(cpu)
    with Flag() as flag:
        hog = preemptio.go(spin, flag)
        await parked(hog)
        await parked(hog)
    await hog
    runtime.remove_instrument(cpu)
    assert cpu.of[hog.g] == pytest.approx(hog.g.cpu_time)
    assert hog.g.cpu_time > 0


async def test_suspending_and_stopping_the_world():
    """Each is told when it is granted, with the time that it took, and when it ends."""
    with Watch() as watch:
        task = asyncio.create_task(asyncio.sleep(60))
        await turns(2)
        async with preemptio.suspended(task.g):
            assert watch.of(task)[-1] == ("suspended", True)
        assert watch.of(task)[-1] == ("released",)
        async with preemptio.stop_the_world("test"):
            assert watch.seen[-1] == ("world stopped", "test", True)
        assert watch.seen[-1] == ("world started", "test", True)
        task.cancel()


async def test_the_garbage_collector():
    """Is seen from its beginning to its end."""
    with Watch() as watch:
        gc.collect(1)
        seen = [event for event in watch.seen if event[0].startswith("gc")]
        assert ("gc began", 1) in seen
        assert seen.index(("gc ended", 1)) == seen.index(("gc began", 1)) + 1


async def test_turns():
    """Take turns: a beginning, then an end."""

    class Turns(runtime.Instrument):
        seen = ""

        def turn_began(self):
            self.seen += "("

        def turn_ended(self):
            self.seen += ")"

    watch = Turns()
    runtime.add_instrument(watch)
    for _ in range(5):
        await asyncio.sleep(0.001)
    runtime.remove_instrument(watch)
    assert watch.seen.lstrip(")").replace("()", "") in {"", "("}
    assert watch.seen.count("(") >= 5
    assert not p().watch_turns


async def test_steps_are_sampled_by_count():
    """`every` is honoured step by step, whatever another instrument asks for."""

    class Some(runtime.Instrument):
        every = 8

        def __init__(self):
            self.told = []

        def started(self, g):
            self.told.append(("started", p().schedtick))

        def stopped(self, g, kind):
            self.told.append(("stopped", p().schedtick))

    class All(Some):
        every = 1

    some, everything = Some(), All()
    runtime.add_instrument(some)
    await turns(100)
    runtime.add_instrument(everything)
    await turns(100)
    runtime.remove_instrument(some)
    runtime.remove_instrument(everything)
    assert p().watch_at > p().schedtick + FAR // 2
    assert len(some.told) // 2 in range(23, 28)
    alone = [tick for event, tick in some.told if event == "started"][:10]
    assert {after - before for before, after in pairwise(alone)} == {8}
    assert [event for event, _ in some.told[:2]] == ["started", "stopped"]
    assert len(everything.told) // 2 in range(98, 103)


async def test_nothing_is_left():
    """Of an instrument that was removed."""
    watch = Watch()
    runtime.add_instrument(watch)
    runtime.add_instrument(watch)  # once is enough
    assert len(LISTENING) == 1
    assert runtime.remove_instrument(watch)
    assert not runtime.remove_instrument(watch)
    before = list(watch.seen)
    await asyncio.create_task(asyncio.sleep(0))
    assert watch.seen == before
    assert LISTENING == []
    assert p().watch_at > p().schedtick + FAR // 2


@pytest.mark.parametrize("hook", ["created", "readied", "started", "stopped"])
async def test_one_that_raises_is_removed(hook):
    """And reported, once; the program and the other instruments do not notice."""

    def broken(self, *args):
        raise ValueError("broken")

    broken.__name__ = hook

    one = type("Broken", (runtime.Instrument,), {hook: broken})()
    other = Watch()
    with capture_logs() as logs:
        runtime.add_instrument(one)
        runtime.add_instrument(other)
        task = asyncio.create_task(asyncio.sleep(0, "result"))
        assert await task == "result"
        await turns(3)
    runtime.remove_instrument(other)
    assert [(log["event"], log["instrument"], log["hook"]) for log in logs] == [("instrument removed", "Broken", hook)]
    assert not runtime.remove_instrument(one)
    assert [event[0] for event in other.of(task)][:3] == ["created", "readied", "started"]


async def test_the_programs_own_recursion_is_not_its_fault():
    """A hook that finds no room on the stack is not removed."""
    watch = Watch()
    runtime.add_instrument(watch)
    loop = asyncio.get_running_loop()

    async def nothing():
        pass

    made = []

    def deep():
        coro = nothing()
        try:
            made.append(loop.create_task(coro))
        except RecursionError:
            coro.close()
            raise
        deep()

    with pytest.raises(RecursionError):
        deep()
    await asyncio.gather(*made)
    assert runtime.remove_instrument(watch)


async def test_a_hook_is_not_preempted():
    """Though it computes for many slices, in the user's own code, called from a task's step: what it was told of would
    be half done.
    """

    class Slow(runtime.Instrument):
        seen = 0

        def readied(self, g, by):
            before, until = p().nparked_ever, time.monotonic() + 0.02
            while time.monotonic() < until:
                pass
            assert p().nparked_ever == before
            self.seen += 1

    slow = Slow()
    runtime.add_instrument(slow)
    with capture_logs() as logs:
        await asyncio.gather(*(preemptio.go(sum, [1]) for _ in range(3)))
    assert runtime.remove_instrument(slow)
    assert slow.seen >= 3
    assert "instrument removed" not in {log["event"] for log in logs}


async def test_misuse_says_what_to_type(make_loop):
    """What is no instrument, and a loop that is not there."""
    with pytest.raises(TypeError, match=r"not an Instrument; add an object of it: add_instrument\(Watch\(\)\)"):
        runtime.add_instrument(Watch)
    with pytest.raises(TypeError, match="not an Instrument"):
        runtime.add_instrument(print)
    odd = Watch()
    odd.every = 3
    with pytest.raises(ValueError, match="type, for example: every = 64"):
        runtime.add_instrument(odd)
    plain = asyncio.SelectorEventLoop()
    with pytest.raises(preemptio.NotInstalledError, match=r"preemptio\.run"):
        runtime.add_instrument(Watch(), plain)
    plain.close()
    errors = []

    def elsewhere(loop):
        try:
            runtime.add_instrument(Watch(), loop)
        except RuntimeError as why:
            errors.append(str(why))

    await asyncio.to_thread(elsewhere, asyncio.get_running_loop())
    assert "call_soon_threadsafe(runtime.add_instrument, instrument, loop)" in errors[0]


async def test_an_instrument_from_before_the_run(make_loop):
    """It may be added to a loop that does not run yet, and then sees everything."""

    def run():
        watch = Watch()
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runtime.add_instrument(watch, runner.get_loop())
            runner.run(asyncio.sleep(0))
        return [event[0] for event in watch.seen if not event[0].startswith("gc")][:3]

    assert await asyncio.to_thread(run) == ["created", "started", "readied"]


async def test_a_probe_is_used_once():
    """It tells how long the next step of its G waited, and then the G is as it was."""
    told = []

    async def sleeps():
        probe(current_g(), told.append)
        await asyncio.sleep(0.001)
        await asyncio.sleep(0.001)

    task = asyncio.create_task(sleeps())
    await task
    assert len(told) == 1
    assert 0 < told[0] < 10
    assert not task.g._extra.aside


async def test_a_probe_tells_of_the_wait_for_the_cpu():
    """Not of the time before: a step that is queued behind one which computes waits as long as that takes."""
    told, ready = [], asyncio.get_running_loop().create_future()

    async def waits():
        probe(current_g(), told.append)
        await ready

    task = asyncio.create_task(waits())
    await asyncio.sleep(0.02)
    ready.set_result(None)
    await asyncio.sleep(0)  # its wake-up is queued now
    assert not told or told[0] < 0.02
    await task
    assert told[0] < 0.02


async def test_a_probe_of_a_held_g():
    """The step waits for the end of the hold like any other."""
    told, ready = [], asyncio.get_running_loop().create_future()

    async def waits():
        probe(current_g(), told.append)
        await ready

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    async with preemptio.suspended(task.g):
        ready.set_result(None)
        await turns(3)
        assert (task.g.status, told) == (Gstatus.SCANWAITING, [])
    await task
    assert len(told) == 1


async def test_a_probe_of_a_background_g():
    """It stays in its class."""
    told = []

    async def steps():
        probe(current_g(), told.append)
        await asyncio.sleep(0)

    task = preemptio.go(steps, background=True)
    await task
    assert len(told) == 1
    assert task.g._extra.aside


async def test_a_probe_of_who_stops_the_world():
    """Who has stopped it is not taken for a newcomer, which would be held."""
    told = []
    probe(current_g(), told.append)
    async with preemptio.stop_the_world("test"):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert len(told) == 1
