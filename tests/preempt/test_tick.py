"""The tick: which step has used its slice, how often to look, and what a refusal leads to."""

import asyncio
import sys
import time
from types import SimpleNamespace

import pytest

import preemptio
from preemptio._core._gstatus import RUNNING, WAITING
from preemptio._core._headroom import NoRoomError
from preemptio._core._reasons import PreemptKind, Verdict
from preemptio._preempt._reports import Reports
from preemptio._preempt._tick import (
    BACK_OFF_AFTER,
    BACK_OFF_MAX,
    FLOOR,
    HOPELESS,
    IDLE_TICKS,
    IN_A_CALL,
    REPORT_AFTER,
    STRETCH,
    TARGET,
    Ticker,
)
from preemptio._preempt._whose import Whose
from tests.preempt._programs import run_program

SLICE = 0.005


class Source:
    """Remembers how it was armed; 0.0 is disarmed."""

    name = "fake"

    def __init__(self):
        self.periods = []
        self.signum = 0
        self.robbed = self.stopped = False

    def arm(self, period):
        self.periods.append(period)

    def disarm(self):
        self.periods.append(0.0)

    def lost(self):
        return self.robbed

    def ticking(self):
        return not self.stopped


class Bench:
    """A ticker with everything around it made of cardboard: it is ticked by hand."""

    def __init__(self, verdict=Verdict.SAFE):
        self.verdict_now = verdict
        self.preempted, self.charged, self.posted, self.searches = [], [], [], []
        self.queued = 0
        self.mask = False
        self.wanted = lambda _g: False
        self.claims = SimpleNamespace(learn=lambda: None, forget=lambda: None)
        self.ownership = SimpleNamespace(whose=lambda _frame: Whose.USER)
        self.extra = SimpleNamespace(refusals={}, async_safe_point=False, restartable=None)
        self.g = SimpleNamespace(status=RUNNING, preempt=False, extra=lambda: self.extra)
        self.calm = False
        host = SimpleNamespace(
            backlog=lambda: self.queued, post=self.post, quiet=lambda: self.calm, watch=lambda _fd, _callback: False
        )
        self.p = SimpleNamespace(
            host=host,
            instruments=SimpleNamespace(refused=()),
            parked=SimpleNamespace(heap=[]),
            slice=SLICE,
            active=True,
            step=(self.g, None, (), None),
            carrier=SimpleNamespace(preempt_gen=0),
            schedtick=1,
            seen=-1,
            attention=False,
            resumed_at=0.0,
            armed=False,
            clocked=False,
            now=0.0,
            check_at=0.0,
            masked=lambda _g: self.mask,
            cpu_mark=0.0,
            charge=self.charged.append,
            request=self.request,
            preempt=self.preempt,
        )
        self.reports = Reports(0.0)
        self.ticker = Ticker(self.p, self, self, "none", self.reports)
        self.waits = self.still_there = False
        self.set_aside = []
        self.ticker._rescue = SimpleNamespace(
            may_leave=lambda _frame: self.waits,
            still_there=lambda _g, _frame: self.still_there,
            set_aside=lambda g, _frame: self.set_aside.append(g),
        )
        self.ticker._source = self.source = Source()
        self.ticker._seeker = SimpleNamespace(armed=False, arm=lambda g, _frame: self.searches.append(g))
        self.ticker.arm()

    def verdict(self, _g, _frame, certain=False):
        if isinstance(self.verdict_now, Exception):
            raise self.verdict_now
        return self.verdict_now

    def of(self, _g):
        return self

    def walk(self, frame):
        return Verdict.SAFE, frame

    def request(self, g):
        g.preempt = True

    def preempt(self, _g, kind):
        self.preempted.append((kind, self.extra.async_safe_point))

    def post(self, *args):
        self.posted.append(args)

    def next_step(self):
        self.p.schedtick += 1

    def tick(self, times=1):
        for _ in range(times):
            self.ticker.on_tick(14, sys._getframe())


class TestSlice:
    """Who has used it."""

    def test_the_same_step_at_two_looks(self):
        """The first look only takes note of it, the second takes the CPU from it."""
        bench = Bench()
        bench.tick()
        assert bench.preempted == []
        assert bench.charged == [bench.g]
        bench.tick()
        assert bench.preempted == [(PreemptKind.ASYNC, True)]
        assert bench.extra.async_safe_point is False
        assert bench.ticker.refusals == {}

    def test_a_new_step_at_every_look_is_left_alone(self):
        """Short steps are never preempted; each look ends the batch, so that I/O is polled."""
        bench = Bench()
        for _ in range(10):
            bench.p.attention = False
            bench.tick()
            assert bench.p.attention
            bench.next_step()
        assert bench.preempted == []

    def test_a_resumed_step_has_one_look(self):
        """It started at a tick; but one that is too early for a slice is not counted."""
        bench = Bench()
        bench.p.seen = bench.p.schedtick
        bench.p.resumed_at = time.monotonic() + 3600
        bench.tick()
        assert bench.preempted == []
        bench.p.resumed_at = 0.0
        bench.tick()
        assert len(bench.preempted) == 1

    def test_a_resumed_step_is_not_switched_while_nothing_waits(self):
        """Each look charges it; it gives way when something waits, when it is asked to, or after some slices."""
        bench = Bench()
        bench.p.seen, bench.p.resumed_at, bench.calm = bench.p.schedtick, time.monotonic() - 2 * SLICE, True
        bench.tick(3)
        assert bench.preempted == []
        assert len(bench.charged) == 3
        bench.calm = False
        bench.tick()
        assert len(bench.preempted) == 1
        bench.calm, bench.g.preempt = True, True
        bench.tick()
        assert len(bench.preempted) == 2
        bench.g.preempt = False
        bench.p.resumed_at -= STRETCH * SLICE
        bench.tick()
        assert len(bench.preempted) == 3

    def test_a_g_that_changes_its_status_is_left_alone(self):
        """It is on its way out of its step."""
        bench = Bench()
        bench.tick()
        bench.g.status = WAITING
        bench.tick()
        assert bench.preempted == []
        assert not bench.g.preempt

    def test_every_attempt_is_acknowledged(self):
        """Who asked must be able to tell `refused` from `still on its way`."""
        bench = Bench(Verdict.STDLIB)
        bench.tick(3)
        assert bench.p.carrier.preempt_gen == 2
        bench.verdict_now = Verdict.SAFE
        bench.tick()
        assert bench.p.carrier.preempt_gen == 3


class TestBlocked:
    """A step that waits in the operating system."""

    def test_is_set_aside_in_its_call(self):
        """If the tick before saw it there, it is a call that waits, and somebody else wants the CPU."""
        bench = Bench(Verdict.OPCODE)
        bench.waits = True
        bench.tick(3)
        assert bench.set_aside == []
        bench.waits, bench.still_there = False, True
        bench.tick()
        assert bench.set_aside == []
        refused = dict(bench.extra.refusals)
        bench.waits = True
        bench.tick()
        assert bench.set_aside == [bench.g]
        assert bench.extra.refusals == refused
        bench.calm = True
        bench.tick()
        assert bench.set_aside == [bench.g]
        bench.p.parked.heap.append("a preempted one, which is not told by a quiet loop")
        bench.tick()
        assert bench.set_aside == [bench.g] * 2

    @pytest.mark.parametrize("verdict", [it for it in Verdict if it not in (*IN_A_CALL, Verdict.SAFE)])
    def test_is_left_alone_where_the_place_is_refused_for_another_reason(self, verdict):
        """A mask, a debugger, an import: the rules stand."""
        bench = Bench(verdict)
        bench.waits = bench.still_there = True
        bench.tick(3)
        assert bench.set_aside == []


class TestPeriod:
    """How often it ticks."""

    def test_begins_with_the_slice(self):
        """Armed once; a tick that changes nothing does not set the timer again."""
        bench = Bench()
        for _ in range(5):
            bench.tick()
            bench.next_step()
        assert bench.source.periods == [SLICE]

    @pytest.mark.parametrize(
        ("queued", "period"), [(0, SLICE), (1, SLICE), (4, TARGET / 4), (20, TARGET / 20), (100_000, FLOOR)]
    )
    def test_shrinks_in_a_burst(self, queued, period):
        """The more wait, the shorter the slice, so that all have had their first turn in time; with a floor."""
        bench = Bench()
        bench.queued = queued
        bench.tick(2)
        assert bench.source.periods[-1] == min(period, SLICE)

    def test_does_not_grow_while_the_burst_goes_on(self):
        """Slices that grew as the backlog shrinks would make the whole of it a logarithm longer than the target."""
        bench = Bench()
        for bench.queued in range(100, 0, -1):
            bench.tick(2)
        assert bench.source.periods[-1] == FLOOR
        bench.queued = 0
        bench.tick()
        assert bench.source.periods[-1] == SLICE

    def test_is_the_slice_again_after_the_burst(self):
        """As soon as a new step is seen."""
        bench = Bench()
        bench.queued = 100
        bench.tick(2)
        bench.next_step()
        bench.tick()
        assert bench.source.periods[-1] == SLICE

    def test_backs_off_from_a_step_that_cannot_be_stopped(self):
        """Twice as long after each further refusal, up to a limit."""
        bench = Bench(Verdict.STDLIB)
        bench.tick(1 + BACK_OFF_AFTER)
        assert bench.source.periods == [SLICE]
        bench.tick(8)
        factors = [2, 4, 8, 16, 32]
        assert bench.source.periods[1:] == [SLICE * factor for factor in factors]
        assert factors[-1] == BACK_OFF_MAX

    def test_a_new_step_ends_the_back_off(self):
        """And it has refusals of its own to come."""
        bench = Bench(Verdict.STDLIB)
        bench.tick(10)
        bench.next_step()
        bench.tick()
        assert bench.source.periods[-1] == SLICE
        bench.tick(BACK_OFF_AFTER)
        assert bench.source.periods[-1] == SLICE
        bench.tick()
        assert bench.source.periods[-1] == SLICE * 2

    def test_stops_when_nothing_runs(self):
        """Two idle ticks, and the timer is off until the next batch arms it."""
        bench = Bench()
        bench.p.active = False
        bench.tick(IDLE_TICKS - 1)
        assert bench.p.armed
        bench.tick()
        assert not bench.p.armed
        assert bench.source.periods == [SLICE, 0.0]
        bench.ticker.arm()
        assert bench.p.armed
        assert bench.source.periods == [SLICE, 0.0, SLICE]

    def test_a_step_in_between_starts_the_count_again(self):
        """Idle means idle twice in a row."""
        bench = Bench()
        for active in (False, True, False, True, False):
            bench.p.active = active
            bench.tick()
            bench.next_step()
        assert bench.p.armed


class TestRefusal:
    """A step that may not be stopped where it is."""

    @pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.SAFE], ids=str)
    def test_is_counted_and_the_request_is_kept(self, verdict):
        """What a dump shows; and the next checkpoint gives way."""
        bench = Bench(verdict)
        bench.tick(4)
        assert bench.extra.refusals == bench.ticker.refusals == {verdict: 3}
        assert bench.g.preempt
        assert bench.preempted == []

    @pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.SAFE], ids=str)
    def test_begins_a_search_unless_it_is_hopeless(self, verdict):
        """No other place in the step would change the answer then."""
        bench = Bench(verdict)
        bench.tick(2)
        assert bench.searches == ([] if verdict in HOPELESS else [bench.g])

    def test_the_last_one_is_kept(self):
        """Verdict, code and instruction, and when; not the frame, which would keep its variables alive."""
        bench = Bench(Verdict.STDLIB)
        bench.tick(2)
        before = bench.extra.last_refusal
        assert before[:2] == (Verdict.STDLIB, Bench.tick.__code__)
        assert 0 <= before[2] < len(Bench.tick.__code__.co_code)
        bench.verdict_now = Verdict.IMPORT
        bench.tick()
        assert bench.extra.last_refusal[0] is Verdict.IMPORT
        assert before[3] <= bench.extra.last_refusal[3] <= time.monotonic()

    def test_a_mask_is_one(self):
        """Whose ever it is, the step's or an eager task's: the rules need not be asked."""
        bench = Bench()
        bench.mask = True
        bench.tick(2)
        assert (bench.extra.refusals, bench.preempted) == ({Verdict.MASKED: 1}, [])

    def test_does_not_begin_a_second_search(self):
        """One is on."""
        bench = Bench(Verdict.OPCODE)
        bench.ticker._seeker.armed = True
        bench.tick(5)
        assert bench.searches == []

    def test_the_user_is_told_once_and_from_the_loop(self):
        """Not from the signal handler, not for the first refusals, not again and again."""
        bench = Bench(Verdict.STDLIB)
        bench.tick(REPORT_AFTER)
        assert bench.posted == []
        bench.tick(200)
        ((report, g, verdict, place, line, advice),) = bench.posted
        assert (report, g, verdict, place) == (bench.reports.refused, bench.g, Verdict.STDLIB, Bench.tick.__code__)
        assert line > place.co_firstlineno
        assert advice == Verdict.STDLIB.advice

    def test_no_room_on_the_stack_is_a_refusal(self):
        """The step goes on as if it had been refused for its place."""

        def no_room(_g, _kind):
            raise NoRoomError

        bench = Bench()
        bench.p.preempt = no_room
        bench.tick(2)
        assert bench.extra.refusals == bench.ticker.refusals == {Verdict.STACK: 1}
        assert bench.extra.last_refusal[0] is Verdict.STACK
        assert bench.extra.async_safe_point is False

    def test_an_error_of_the_rules_is_reported_not_raised(self):
        """The frame below is the user's. Reported once, from the loop."""
        error = ZeroDivisionError()
        bench = Bench(error)
        bench.tick(5)
        ((_, where, reported),) = bench.posted
        assert (where, reported) == ("tick", error)

    def test_what_the_g_gets_at_the_safe_point_is_raised(self):
        """A cancellation is delivered on top of the interrupted frame."""

        def cancelled(_g, _kind):
            raise asyncio.CancelledError

        bench = Bench()
        bench.p.preempt = cancelled
        bench.tick()
        with pytest.raises(asyncio.CancelledError):
            bench.tick()


class TestCheck:
    """Somebody may take the signal or the timer at any time."""

    def test_all_is_well(self):
        """Nothing changes, and the next look is some time ahead."""
        bench = Bench()
        bench.p.now = 5.0
        bench.ticker.check()
        assert bench.p.armed
        assert bench.p.check_at > 5.0

    @pytest.mark.parametrize("what", ["robbed", "stopped"])
    def test_the_next_batch_arms_again(self, what):
        """The signal has another handler, or the timer was cleared by an alarm(0)."""
        bench = Bench()
        setattr(bench.source, what, True)
        bench.ticker.check()
        assert not bench.p.armed

    def test_a_timer_that_is_off_on_purpose_is_not_missed(self):
        """Idle."""
        bench = Bench()
        bench.ticker.disarm()
        bench.p.armed = True
        bench.source.stopped = True
        bench.ticker.check()
        assert bench.p.armed


class TestLoop:
    """With a timer, in a loop."""

    @pytest.mark.uninjected("that a tick stops it, where a tick can")
    def test_a_hog_is_preempted(self, make_loop):
        """A loop that awaits nothing lets others run, and goes on where it was."""
        turns = []

        async def other(stop):
            while not stop:
                turns.append(1)
                await asyncio.sleep(0)

        async def main():
            stop = []
            task = asyncio.create_task(other(stop))
            preemptions = asyncio.current_task().g.extra().preemptions
            n = 0
            while preemptions.get(PreemptKind.ASYNC, 0) < 3 and n < 300_000_000:
                n += 1
            seen = len(turns)
            stop.append(True)
            await task
            return preemptions[PreemptKind.ASYNC], seen

        preemptions, seen = preemptio.run(main(), loop_factory=make_loop)
        assert preemptions >= 3
        assert seen >= 3

    @pytest.mark.parametrize("base", ["asyncio.SelectorEventLoop", "uvloop.Loop"])
    def test_an_idle_loop_has_no_ticks(self, base):
        """Awaiting a pipe for forty beats of another timer, each as long as a slice: the tick goes off and stays so."""
        program = f"""
        import asyncio, json, os, preemptio, signal, uvloop
        from preemptio._preempt._tick import Ticker
        ticks, beats = [], []
        on_tick = Ticker.on_tick
        def counted(self, signum, frame):
            ticks.append(len(beats))
            on_tick(self, signum, frame)
        Ticker.on_tick = counted
        read, write = os.pipe()
        def beat(*_args):
            beats.append(1)
            if len(beats) == 40:
                signal.setitimer(signal.ITIMER_REAL, 0)
                os.write(write, b"x")
        async def main():
            loop, done = asyncio.get_running_loop(), asyncio.Event()
            preemptions, n = asyncio.current_task().g.extra().preemptions, 0
            while not preemptions and n < 100_000_000:
                n += 1
            busy = len(ticks)
            loop.add_reader(read, done.set)
            signal.signal(signal.SIGALRM, beat)
            signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
            await done.wait()
            loop.remove_reader(read)
            return [loop._ticker.source, busy, len(ticks) - busy, len(beats)]
        print(json.dumps(preemptio.run(main(), loop_factory=lambda: preemptio.new_event_loop({base}))))
        """
        source, busy, idle, beats = run_program(program, PREEMPTIO_SOURCE="posix")
        assert (source, beats) == ("posix", 40)
        assert busy >= 2
        assert idle <= IDLE_TICKS + 1

    def test_asyncpreemptoff_leaves_it_to_checkpoints(self, make_loop):
        """A request is made all the same, and the checkpoint answers it."""

        async def main():
            g = asyncio.current_task().g
            refusals, preemptions, n = g.extra().refusals, g.extra().preemptions, 0
            while refusals.get(Verdict.OFF, 0) < 3 and n < 300_000_000:
                n += 1
            before = dict(preemptions)
            while not preemptions and n < 300_000_000:
                preemptio.checkpoint()
                n += 1
            return before, preemptions

        loop_factory = lambda: make_loop(debug="asyncpreemptoff=1")  # noqa: E731 - a factory
        assert preemptio.run(main(), loop_factory=loop_factory) == ({}, {PreemptKind.SYNC: 1})
