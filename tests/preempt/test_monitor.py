"""The monitor: a loop outside the main thread is preempted, and what is asked of its thread is asked of nobody else."""

import _thread
import asyncio
import sys
import threading
import time
from types import SimpleNamespace

import pytest

import preemptio
from preemptio._core import _guard
from preemptio._preempt import _monitor, _sources
from preemptio._preempt._gil import GilShare
from preemptio._preempt._monitor import REQUESTS, MonitorSource, Requests
from preemptio._preempt._sources import NullSource, open_source
from preemptio.lowlevel import PreemptKind, Verdict
from tests.behaviour._support import Flag, parked, spin, turns

TOOL_312 = pytest.mark.skipif(not _monitor.AVAILABLE, reason="sys.monitoring is new in CPython 3.12")

pytestmark = pytest.mark.loop


def in_thread(fn, *args):
    """Call a function in a thread; return a function that waits for its result."""
    result = []

    def work():
        try:
            result.append((fn(*args), None))
        except BaseException as exc:
            result.append((None, exc))

    thread = threading.Thread(target=work, daemon=True)  # a failure must not hang the test run
    thread.start()

    def finish():
        thread.join(20)
        assert result, "the thread hangs"
        value, exc = result[0]
        if exc is not None:
            raise exc
        return value

    return finish


def run(loop, main):
    """Run a coroutine function on a loop that was made in the main thread: settings are overridden for the process."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main())


async def hog_is_stopped():
    """Start a hog without checkpoints; return by which source it is looked at, and that the CPU was taken from it."""
    with Flag() as flag:
        task = preemptio.go(spin, flag)
        await parked(task)
        flag.stop = True
        await task
    kinds = set(task.g.preemptions)
    return asyncio.get_running_loop()._ticker.source, bool(kinds) and kinds <= {PreemptKind.ASYNC, PreemptKind.SEEK}


@TOOL_312
class TestRequests:
    """What is asked of a thread."""

    @pytest.fixture
    def requests(self):
        """A claim of our own on another tool id."""
        found = Requests()
        assert found.open()
        yield found
        found.close()
        assert found._tool == -1

    def events(self, requests, code):
        return sys.monitoring.get_local_events(requests._tool, code)

    def test_is_met_once_by_the_thread_it_was_made_to(self, requests):
        """At the next entry or back edge, with the frame; and nothing is watched any more then."""
        met = []

        def work(n):
            for _ in range(n):
                pass

        requests.ask(_thread.get_ident(), {id(work.__code__): work.__code__}, lambda *args: met.append(args))
        assert self.events(requests, work.__code__) == _monitor.EVENTS
        work(3)
        work(3)
        [(signum, frame)] = met
        assert (signum, frame.f_code) == (0, work.__code__)
        assert self.events(requests, work.__code__) == 0
        assert not requests.withdraw(_thread.get_ident())

    def test_a_back_edge_is_an_event_and_a_jump_forward_none(self, requests):
        """Straight-line code is atomic: what stands in a frame that has begun is met at the end of a round."""
        seen = []

        def work(n):
            requests.ask(_thread.get_ident(), {id(work.__code__): work.__code__}, lambda *_args: seen.append("met"))
            for i in range(n):
                if i % 2:
                    seen.append("odd")
                else:
                    seen.append("even")
                seen.append(i)

        work(2)
        assert seen == ["even", 0, "met", "odd", 1]

    def test_other_threads_pass(self, requests):
        """They run the same code, and are neither stopped nor counted."""
        met = []

        def work(n):
            for _ in range(n):
                pass

        requests.ask(_thread.get_ident(), {id(work.__code__): work.__code__}, lambda *args: met.append(args))
        in_thread(work, 1000)()
        assert not met
        work(3)
        assert len(met) == 1

    def test_two_threads_may_be_asked_in_the_same_code(self, requests):
        """What one withdraws, the other still meets."""

        def work():
            pass

        codes = {id(work.__code__): work.__code__}
        met = []
        requests.ask(-1, codes, print)
        requests.ask(_thread.get_ident(), codes, lambda *_args: met.append(1))
        assert requests.withdraw(-1)
        work()
        assert met == [1]
        assert self.events(requests, work.__code__) == 0

    def test_an_event_that_nobody_asked_for_is_removed(self, requests):
        """A request that was withdrawn while it was made leaves some behind."""

        def work():
            pass

        sys.monitoring.set_local_events(requests._tool, work.__code__, _monitor.EVENTS)
        work()
        assert self.events(requests, work.__code__) == 0

    def test_may_raise(self, requests):
        """What the G is meant to get is raised where it stands."""

        def work():
            return 1

        def handler(_signum, _frame):
            raise KeyError

        requests.ask(_thread.get_ident(), {id(work.__code__): work.__code__}, handler)
        with pytest.raises(KeyError):
            work()
        assert work() == 1

    def test_is_traced_again_behind_it(self, requests):
        """The handler runs as if it were called by the program: it may switch, and other events come meanwhile."""
        depths = []

        def inner():
            depths.append("inner")

        def work():
            pass

        def handler(_signum, _frame):
            requests.ask(_thread.get_ident(), {id(inner.__code__): inner.__code__}, lambda *_: depths.append("met"))
            inner()

        requests.ask(_thread.get_ident(), {id(work.__code__): work.__code__}, handler)
        work()
        assert depths == ["met", "inner"]

    def test_no_tool_id_is_free(self, monkeypatch):
        """Then there is no monitor, and the user is told."""
        monkeypatch.setattr(_monitor, "TOOLS", ())
        said = []
        monkeypatch.setattr(_sources, "report_source", lambda *args: said.append(args))
        monkeypatch.setattr(_sources, "_reported", set())
        monkeypatch.setattr(_monitor, "REQUESTS", Requests())
        assert open_source("monitor", print).name == "none"
        assert open_source("monitor", print).name == "none"
        assert [each[:2] for each in said] == [("monitor", "none")]


@TOOL_312
class TestSource:
    """The second thread."""

    def test_looks_until_it_is_stopped(self):
        """The handler is called in the thread that started it, on the frame that computes; then nothing is left."""
        met, glances = [], []

        async def compute():
            while len(met) < 3:
                pass

        def handler(_signum, frame):
            met.append((_thread.get_ident(), frame.f_code))

        threads = _thread._count()
        source = MonitorSource(lambda: not glances.append(_thread.get_ident()))
        assert source.start(handler)
        source.arm(0.001)
        with pytest.raises(StopIteration):
            compute().send(None)
        source.stop()
        assert set(met) == {(_thread.get_ident(), compute.__code__)}
        assert _thread.get_ident() not in glances
        assert _thread._count() == threads
        assert not REQUESTS._asked
        assert REQUESTS._tool == -1

    def test_asks_nothing_if_the_look_from_outside_says_no(self):
        """A step that is new is not interrupted."""
        met, glances = [], []

        async def compute():
            while len(glances) < 5:
                pass

        source = MonitorSource(lambda: glances.append(1))
        assert source.start(lambda *args: met.append(args))
        source.arm(0.001)
        with pytest.raises(StopIteration):
            compute().send(None)
        source.stop()
        assert not met

    def test_who_does_not_answer_is_asked_less_often(self, monkeypatch):
        """A step that is blocked: a request lives for one period, and the pauses grow up to a bound."""
        asked = []
        source = MonitorSource(lambda: True)
        monkeypatch.setattr(source, "_step", lambda: {1: spin.__code__})
        pending = []
        never = SimpleNamespace(ask=lambda *_: pending.append(1), withdraw=lambda _: bool(pending) and pending.pop())
        monkeypatch.setattr(_monitor, "REQUESTS", never)
        source._handler = print
        for _ in range(60):
            source._look_from_here()
            asked.append(bool(pending))
        gaps = [len(gap) for gap in "".join(".x"[each] for each in asked).split("x")]
        assert gaps == [0, 1, 2, 4, 8, 8, 8, 8, 8, 4]

    def test_no_thread_can_be_started(self, monkeypatch):
        """The interpreter ends: the source is not to be had, and nothing is claimed."""

        def refuse(*_args):
            raise RuntimeError("can't create new thread at interpreter shutdown")

        monkeypatch.setattr(_thread, "start_new_thread", refuse)
        assert not MonitorSource(bool).start(print)
        assert REQUESTS._tool == -1


@TOOL_312
@pytest.mark.uninjected("the trace function is not the monitor's")
class TestLoop:
    """A loop outside the main thread."""

    def test_a_hog_is_stopped(self, make_loop):
        """Without a checkpoint, and the switch interval is the program's own again."""
        before = sys.getswitchinterval()
        assert in_thread(run, make_loop(), hog_is_stopped)() == ("monitor", True)
        assert sys.getswitchinterval() == before
        assert REQUESTS._tool == -1

    def test_in_the_main_thread_by_choice(self, make_loop):
        """No signal is taken."""
        assert run(make_loop(source="monitor"), hog_is_stopped) == ("monitor", True)

    def test_beside_others(self, make_loop):
        """Two loops with the same code in threads, and one with signals in the main thread, all at once."""

        async def main():
            with Flag() as flag:
                task = preemptio.go(spin, flag, 10**9)  # long enough for two threads that get the GIL now and then
                await parked(task)
                others = [in_thread(run, make_loop(), hog_is_stopped) for _ in range(2)]
                return [await asyncio.to_thread(finish) for finish in others]

        assert run(make_loop(), main) == [("monitor", True)] * 2

    def test_a_step_in_c_code_is_sought(self, make_loop):
        """A look that meets the standard library starts a search there."""

        async def main():
            calls = []

            def shallow(flag):
                while not flag.stop:
                    calls.append(sorted(range(500), key=int.__neg__))
                    calls.clear()

            with Flag() as flag:
                task = preemptio.go(shallow, flag)
                await parked(task)
                flag.stop = True
                await task
            return bool(task.g.preemptions)

        assert in_thread(run, make_loop(), main)()

    def test_rules_are_the_same(self, make_loop):
        """A mask and a held lock refuse as they refuse a signal."""

        async def main():
            refused = {}
            lock = threading.Lock()

            def hold(g):
                with lock:
                    while not g.refusals:
                        pass
                return g.refusals

            def mask(g):
                with preemptio.nopreempt("test"):
                    while not g.refusals:
                        pass
                return g.refusals

            for fn in (hold, mask):
                task = preemptio.go(lambda fn=fn: fn(asyncio.current_task().g))
                other = preemptio.go(asyncio.sleep, 0)
                refused[fn.__name__] = set(await task)
                await other
            return refused

        found = in_thread(run, make_loop(), main)()
        assert Verdict.LOCK in found["hold"]
        assert Verdict.MASKED in found["mask"]

    def test_a_cancellation_is_raised_in_the_hog(self, make_loop):
        """Where it stands; `finally` runs."""

        async def main():
            ended = []

            def forever():
                try:
                    spin(Flag())
                finally:
                    ended.append(1)

            task = preemptio.go(forever, cancel="safepoint")
            await parked(task)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return ended

        assert in_thread(run, make_loop(), main)() == [1]

    def test_a_debugger_in_the_loops_thread(self, make_loop):
        """Preemption stands aside, and its function keeps its place."""

        async def main():
            def tracer(*_args):
                return None

            sys.settrace(tracer)
            try:
                g = asyncio.current_task().g
                other = preemptio.go(asyncio.sleep, 0)
                while not g.refusals:
                    pass
                assert sys.gettrace() is tracer
            finally:
                sys.settrace(None)
            await other
            return set(g.refusals), set(g.preemptions)

        assert in_thread(run, make_loop(), main)() == ({Verdict.TRACER}, set())

    def test_trace_functions_of_other_threads_stay(self, make_loop):
        """They miss nothing, and see nothing of the monitor's thread."""
        seen, ready, done = set(), threading.Event(), threading.Event()

        def tracer(frame, _event, _arg):
            seen.add(frame.f_code.co_filename)
            return tracer

        def traced():
            sys.settrace(tracer)
            ready.set()
            n = 0
            while not done.is_set():
                n += 1
            return sys.gettrace() is tracer

        finish = in_thread(traced)
        assert ready.wait(10)
        try:
            assert in_thread(run, make_loop(), hog_is_stopped)()[0] == "monitor"
        finally:
            done.set()
        assert finish()
        assert not [name for name in seen if "preemptio/_" in name.replace("\\", "/")]

    def test_a_blocked_step_is_not_set_aside(self, make_loop):
        """It blocks the loop; what was asked of it is taken back, also while it is blocked."""

        async def main():
            order, free = [], threading.Lock()
            other = preemptio.go(order.append, "other")
            free.acquire()

            def look():
                while not REQUESTS._asked:
                    time.sleep(0)
                while REQUESTS._asked:
                    time.sleep(0)
                free.release()

            finish = in_thread(look)
            with free:
                order.append("blocked")
            await other
            finish()
            return order

        assert in_thread(run, make_loop(), main)() == ["blocked", "other"]

    def test_cpu_time_of_short_steps_is_not_the_hogs(self, make_loop):
        """The account of a step begins when it is seen first."""

        async def main():
            await turns(20_000)
            before = time.thread_time()
            with Flag() as flag:
                task = preemptio.go(spin, flag)
                await parked(task)
                used = time.thread_time() - before
                flag.stop = True
                await task
            return task.g.cpu_time <= used + 0.05

        assert in_thread(run, make_loop(), main)()


class TestOldInterpreter:
    """Where there is no sys.monitoring, and where another source was asked for."""

    @pytest.fixture
    def said(self, monkeypatch):
        """What the user is told."""
        found = []
        monkeypatch.setattr(_sources, "report_source", lambda *args: found.append(args))
        monkeypatch.setattr(_sources, "_reported", set())
        return found

    def test_checkpoints_only_and_one_warning(self, monkeypatch, said):
        """CPython 3.11, outside the main thread."""
        monkeypatch.setattr(_monitor, "AVAILABLE", False)
        for _ in range(2):
            assert isinstance(in_thread(open_source, "auto", print)(), NullSource)
        [(wanted, used, why)] = said
        assert (wanted, used) == ("monitor", "none")
        assert "3.12" in why

    def test_signals_were_asked_for(self, said):
        """Who asked for one kind does not get the other behind his back, but is told."""
        for _ in range(2):
            assert isinstance(in_thread(open_source, "itimer", print)(), NullSource)
        [(wanted, used, why)] = said
        assert (wanted, used) == ("itimer", "none")
        assert "main thread" in why

    def test_none_was_asked_for(self, said):
        """Nothing to tell."""
        assert isinstance(in_thread(open_source, "none", print)(), NullSource)
        assert not said


class TestShared:
    """What two loops in two threads have in common."""

    def test_the_switch_interval(self):
        """The shortest wish counts, in whatever order they come and go."""
        before = sys.getswitchinterval()
        one, two = GilShare(), GilShare()
        one.guard(0.002)
        two.guard(0.001)
        assert sys.getswitchinterval() == pytest.approx(0.000_5)
        one.give_back()
        assert sys.getswitchinterval() == pytest.approx(0.000_5)
        one.guard(0.004)
        two.give_back()
        assert sys.getswitchinterval() == pytest.approx(0.002)
        one.give_back()
        assert sys.getswitchinterval() == before

    def test_the_switch_interval_in_a_race(self):
        """Many threads wish at once: it is put back all the same."""
        before = sys.getswitchinterval()

        def wish(slices):
            share = GilShare()
            for _ in range(200):
                for each in slices:
                    share.guard(each)
                share.give_back()

        for finish in [in_thread(wish, (0.001 * n, 0.000_3 * n)) for n in (1, 2, 3, 4)]:
            finish()
        assert sys.getswitchinterval() == before

    def test_the_guard(self, make_loop):
        """A request to one loop's task does not make another's give way, and is not lost by another's end."""

        async def charged(asked, other):
            g = asyncio.current_task().g
            with preemptio.nopreempt("until the other has asked as well"):
                if asked:
                    asyncio.get_running_loop()._p.request(g)
                await asyncio.to_thread(other.wait, 10)
                if asked:
                    asyncio.get_running_loop()._p.request(g)
            preemptio.checkpoint()
            return g.preemptions.get(PreemptKind.SYNC, 0)

        both = threading.Barrier(2)
        loops = [make_loop(source="none", slice=1.0) for _ in range(2)]  # the clock must not ask
        asked = [in_thread(run, loop, lambda n=n: charged(n == 0, both)) for n, loop in enumerate(loops)]
        assert [finish() for finish in asked] == [1, 0]
        assert not _guard._who
