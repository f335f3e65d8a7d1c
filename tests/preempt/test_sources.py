"""Tick sources: only what is nobody's is taken, and everything is put back."""

import ctypes
import signal
import sys
import threading
from textwrap import dedent

import pytest

from preemptio._preempt import _sources
from preemptio._preempt._sources import ItimerSource, NullSource, PosixTimerSource, candidates, open_source
from tests.preempt._programs import run_program

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="timer_create is used on Linux only")
SOURCES = [ItimerSource, pytest.param(PosixTimerSource, marks=LINUX)]

# Which source a run uses, and whether its hog was preempted. `result` is printed.
RUN = """
import asyncio, json, logging, signal, structlog, threading, preemptio
from preemptio._core._guard import _who
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

def hog(g):
    preemptions, n = g.extra().preemptions, 0
    while not preemptions and n < 30_000_000:
        n += 1

async def main():
    task = asyncio.current_task()
    other = preemptio.go(asyncio.sleep, 0)
    hog(task.g)
    await other
    return [asyncio.get_running_loop()._ticker.source, [str(kind) for kind in task.g.preemptions]]
"""


@pytest.fixture
def quiet(monkeypatch):
    """Say nothing of sources that are taken."""
    monkeypatch.setattr(_sources, "report_source", lambda *args: None)


def ignore(_signum, _frame):
    pass


class TestChoice:
    """candidates and open_source."""

    def test_auto_leaves_sigalrm_to_the_program(self):
        """It is taken where there is no POSIX timer; the null source is always last."""
        expected = (
            [PosixTimerSource, ItimerSource, NullSource] if sys.platform == "linux" else [ItimerSource, NullSource]
        )
        assert candidates("auto") == expected

    @pytest.mark.parametrize(
        ("choice", "cls"), [("itimer", ItimerSource), pytest.param("posix", PosixTimerSource, marks=LINUX)]
    )
    def test_a_choice_falls_back_to_none_only(self, choice, cls):
        """Who asked for one kind does not get the other kind behind his back."""
        assert candidates(choice) == [cls, NullSource]

    def test_none(self):
        """By choice."""
        assert candidates("none") == [NullSource]

    def test_no_signals_outside_the_main_thread(self):
        """Python delivers them to the main thread only: the monitor is tried there, unless signals were asked for."""
        found = {}
        choices = ["auto", "monitor", "itimer", "posix", "none"]
        thread = threading.Thread(target=lambda: found.update((each, candidates(each)) for each in choices))
        thread.start()
        thread.join()
        names = {choice: [make().name for make in makes] for choice, makes in found.items()}
        tried, untried = ["monitor", "none"], ["none"]
        assert names == {"auto": tried, "monitor": tried, "itimer": untried, "posix": untried, "none": untried}

    @LINUX
    def test_the_first_free_one_is_opened(self, quiet, monkeypatch):
        """No signal is nobody's but SIGALRM."""
        monkeypatch.setattr(PosixTimerSource, "start", lambda *_: False)
        source = open_source("auto", print)
        assert source.name == "itimer"
        source.stop()


class TestSource:
    """Both signal sources."""

    @pytest.mark.parametrize("make", SOURCES)
    def test_ticks_until_it_is_disarmed(self, make):
        """The handler is called again and again, and not after disarm."""
        ticks = []
        source = make()
        assert source.start(lambda signum, _frame: ticks.append(signum))
        source.arm(0.0005)
        while len(ticks) < 5:
            pass
        source.disarm()
        count = len(ticks)
        for _ in range(1_000_000):
            pass
        assert len(ticks) - count <= 1  # one may have been on its way
        assert set(ticks) == {source.signum}
        source.stop()

    @pytest.mark.parametrize("make", SOURCES)
    @pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN])
    def test_puts_back_what_was_there(self, make, before):
        """Also if the timer is still armed when it is stopped."""
        source = make()
        old = signal.signal(source.signum, before)
        try:
            assert source.start(ignore)
            assert signal.getsignal(source.signum) is ignore
            source.arm(0.0005)
            source.stop()
            assert signal.getsignal(source.signum) is before
            assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        finally:
            signal.signal(source.signum, old)

    @pytest.mark.parametrize("make", SOURCES)
    def test_leaves_a_signal_that_has_an_owner(self, make):
        """It does not start, and stopping it changes nothing."""
        source = make()
        old = signal.signal(source.signum, ignore)
        try:
            assert not source.start(print)
            source.stop()
            assert signal.getsignal(source.signum) is ignore
        finally:
            signal.signal(source.signum, old)

    @pytest.mark.parametrize("make", SOURCES)
    def test_knows_when_it_was_robbed(self, make):
        """Somebody took the signal while we had it: theirs it stays."""
        source = make()
        assert not source.lost()
        assert source.start(print)
        assert not source.lost()
        old = signal.signal(source.signum, ignore)
        try:
            assert source.lost()
            source.stop()
            assert signal.getsignal(source.signum) is ignore
        finally:
            signal.signal(source.signum, signal.SIG_DFL if old is print else old)

    def test_an_itimer_that_runs_is_not_taken(self):
        """A pending alarm() is that timer too."""
        signal.setitimer(signal.ITIMER_REAL, 3600)
        try:
            assert not ItimerSource().start(print)
            assert signal.getitimer(signal.ITIMER_REAL)[0] > 3500
            assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    @LINUX
    def test_two_posix_timers_have_two_signals(self):
        """SIGURG, which an exec may meet, then the highest real-time signal, which would kill the program."""
        first = PosixTimerSource()
        assert first.start(ignore)
        second = PosixTimerSource()
        assert second.start(ignore)
        assert (first.signum, first.survives_exec) == (signal.SIGURG, False)
        assert (second.signum, second.survives_exec) == (signal.SIGRTMAX, True)
        second.stop()
        first.stop()

    @LINUX
    @pytest.mark.parametrize("period", [0.0005, 0.02, 1.0])
    def test_a_posix_timer_has_the_period_asked_for(self, period):
        """Also after another, and after it was off."""
        source = PosixTimerSource()
        assert source.start(ignore)
        for each in (0.1, period, 0.0, period):
            source.arm(each) if each else source.disarm()
        span = _sources._Itimerspec()
        source._libc.timer_gettime(source._timer, ctypes.byref(span))
        assert span.it_interval.tv_sec + span.it_interval.tv_nsec / 1e9 == pytest.approx(period)
        source.stop()


class TestProgram:
    """A whole process each."""

    @pytest.mark.parametrize("source", ["itimer", pytest.param("posix", marks=LINUX)])
    def test_handlers_and_timers_are_restored_after_run(self, source):
        """Every signal has the handler that it had, and no timer is left."""
        program = """
        def state():
            handlers = {n: signal.getsignal(n) for n in signal.valid_signals()}
            return handlers, signal.getitimer(signal.ITIMER_REAL)
        before = state()
        result = preemptio.run(main())
        print(json.dumps([*result, state() == before]))
        """
        assert run_program(RUN + dedent(program), PREEMPTIO_SOURCE=source) == [source, ["async"], True]

    @LINUX
    def test_an_owner_of_sigalrm_keeps_it(self):
        """pytest-timeout, an application's alarm: the tick has a timer of its own, and that handler is never called."""
        program = """
        calls = []
        owner = lambda *args: calls.append(args)
        signal.signal(signal.SIGALRM, owner)
        result = preemptio.run(main())
        print(json.dumps([*result, signal.getsignal(signal.SIGALRM) is owner, len(calls)]))
        """
        assert run_program(RUN + dedent(program)) == ["posix", ["async"], True, 0]

    @LINUX
    def test_an_armed_itimer_keeps_running(self):
        """Somebody's deadline is neither moved nor lost."""
        program = """
        signal.setitimer(signal.ITIMER_REAL, 3600)
        result = preemptio.run(main())
        print(json.dumps([*result, 3500 < signal.getitimer(signal.ITIMER_REAL)[0] <= 3600]))
        """
        assert run_program(RUN + dedent(program)) == ["posix", ["async"], True]

    def test_without_a_tick(self):
        """Checkpoints read the clock there, and give way; nothing of it outlives the loop."""
        program = """
        async def clocked():
            task = asyncio.current_task()
            n = 0
            while not task.g.preemptions and n < 30_000_000:
                preemptio.checkpoint()
                n += 1
            return [asyncio.get_running_loop()._ticker.source, [str(kind) for kind in task.g.preemptions]]
        result = []
        thread = threading.Thread(target=lambda: result.extend(preemptio.run(clocked())))
        thread.start()
        thread.join()
        print(json.dumps([*result, len(_who)]))
        """
        assert run_program(RUN + dedent(program), PREEMPTIO_SOURCE="none") == ["none", ["sync"], 0]

    @pytest.mark.parametrize("source", ["itimer", pytest.param("posix", marks=LINUX)])
    def test_a_program_that_is_execed_is_not_killed(self, source):
        """exec keeps the interval timer and drops the handler: the timer is disarmed before, or needs no care."""
        program = """
        import os, sys
        async def replace():
            hog(asyncio.current_task().g)
            os.execv(sys.executable, [sys.executable, "-c", "for n in range(10_000_000): pass\\nprint('[1]')"])
        preemptio.run(replace())
        """
        assert run_program(RUN + dedent(program), PREEMPTIO_SOURCE=source) == [1]

    @LINUX
    @pytest.mark.parametrize(("source", "audited"), [("auto", False), ("posix", False), ("itimer", True)])
    def test_the_program_is_not_audited_unless_it_must_be(self, source, audited):
        """Each `id()` of the program's is an audit event, and a hook stays for ever."""
        program = """
        from preemptio._preempt import _process
        preemptio.run(main())
        print(json.dumps(_process._audited))
        """
        assert run_program(RUN + dedent(program), PREEMPTIO_SOURCE=source) is audited

    @LINUX
    def test_a_signal_that_kills_is_not_left_to_the_next_program(self):
        """SIGURG has an owner: a real-time signal ticks, and exec is looked out for."""
        program = """
        import os, sys
        signal.signal(signal.SIGURG, lambda *args: None)
        async def replace():
            assert asyncio.get_running_loop()._ticker._source.signum == signal.SIGRTMAX
            hog(asyncio.current_task().g)
            os.execv(sys.executable, [sys.executable, "-c", "for n in range(10_000_000): pass\\nprint('[1]')"])
        preemptio.run(replace())
        """
        assert run_program(RUN + dedent(program)) == [1]

    def test_an_alarm_of_the_programs_own_does_not_end_preemption(self):
        """The usual time limit: take SIGALRM, set an alarm, put both back. The loop ticks again afterwards."""
        program = """
        async def limited():
            g = asyncio.current_task().g
            hog(g)
            before = signal.signal(signal.SIGALRM, lambda *args: None)
            signal.alarm(3600)
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
            for _ in range(20):
                await asyncio.sleep(0.003)
            g.extra().preemptions.clear()
            hog(g)
            return [str(kind) for kind in g.preemptions]
        print(json.dumps(preemptio.run(limited())))
        """
        assert run_program(RUN + dedent(program), PREEMPTIO_SOURCE="itimer") == ["async"]

    def test_who_takes_the_signal_gets_no_ticks(self):
        """The loop leaves it to the one who took it, within some turns, and stops its timer: when the program ends and
        the handler is gone, a tick would kill the process.
        """
        program = """
        calls = []
        async def robbed():
            hog(asyncio.current_task().g)
            signal.signal(signal.SIGALRM, lambda *args: calls.append(args))
            for _ in range(40):
                await asyncio.sleep(0.001)
            return signal.getitimer(signal.ITIMER_REAL)
        print(json.dumps(preemptio.run(robbed())))
        """
        assert run_program(RUN + dedent(program), PREEMPTIO_SOURCE="itimer") == [0.0, 0.0]
