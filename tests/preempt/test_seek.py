"""Seeking: a step that is always met inside a C call is stopped at the next safe place, and nothing stays traced."""

import asyncio
import json
import sys
from types import SimpleNamespace

import pytest

import preemptio
from preemptio._core._gstatus import RUNNING
from preemptio._core._reasons import PreemptKind, Verdict
from preemptio._preempt import _seek
from preemptio._preempt._seek import Seeker
from tests.preempt._programs import run_program

pytestmark = pytest.mark.skipif(sys.gettrace() is not None, reason="something traces this run")


class Rules:
    """Says what it is told to say, and remembers what it was asked."""

    def __init__(self, *verdicts):
        self.verdicts = list(verdicts)
        self.asked = []

    def verdict(self, _g, frame, *, certain):
        assert certain
        self.asked.append((frame.f_code.co_name, frame.f_lineno - frame.f_code.co_firstlineno))
        return self.verdicts.pop(0) if self.verdicts else Verdict.SAFE


class Host:
    """Remembers what is said to the user."""

    def __init__(self):
        self.posted = []

    def post(self, *args):
        self.posted.append(args)


@pytest.fixture
def p():
    return SimpleNamespace(schedtick=1, carrier="a carrier", masked=lambda _g: False, host=Host())


@pytest.fixture
def g():
    return SimpleNamespace(status=RUNNING)


@pytest.fixture
def search(p, g):
    """Make a seeker, and a function that begins its search in the frame of the caller."""
    found = []
    made = []

    def begin(*verdicts):
        rules = Rules(*verdicts)
        seeker = Seeker(p, rules, lambda g, _frame: found.append((g, sys.gettrace())))
        made.append(seeker)
        assert seeker.arm(g, sys._getframe(1))
        return SimpleNamespace(seeker=seeker, rules=rules, found=found)

    yield begin
    for seeker in made:
        seeker.disarm()
    assert sys.gettrace() is None


class TestSearch:
    """The trace function, without a signal."""

    def test_ends_at_a_loops_back_edge(self, search, g):
        """Nothing in the first round is a candidate: straight-line code is atomic."""
        begun = search()
        for first in (True, False, False):
            if first:
                assert begun.found == []
        assert [one for one, _ in begun.found] == [g]
        assert len(begun.rules.asked) == 1

    def test_ends_at_a_functions_entry(self, search, g):
        """The first one that the rules accept."""
        begun = search(Verdict.STDLIB)

        def helper():
            return len(begun.found)

        assert [helper(), helper(), helper()] == [0, 1, 1]
        assert begun.rules.asked == [("helper", 0), ("helper", 0)]

    def test_straight_line_code_is_atomic(self, search):
        """However many lines it has."""
        begun = search()
        a = 1
        b = a + 1
        c = [a, b]
        c.sort()
        assert begun.found == []
        assert begun.rules.asked == []

    def test_nobody_traces_while_the_g_is_away(self, search):
        """The step is stopped with the trace function removed, and outside the tracing state."""
        begun = search()
        for _ in (1, 2):
            pass
        assert [tracer for _, tracer in begun.found] == [None]
        assert not begun.seeker.armed

    def test_goes_on_in_what_a_refused_function_calls(self, search):
        """The library's frame is not worth its lines; the user's callback below it is."""
        begun = search(Verdict.STDLIB)

        def library(fn):
            for _ in range(3):
                pass
            assert begun.found == []
            fn()

        library(lambda: None)
        assert [name for name, _ in begun.rules.asked] == ["library", "<lambda>"]

    def test_gives_up_after_a_number_of_events(self, search, monkeypatch):
        """Tracing costs: the next tick starts another search."""
        monkeypatch.setattr(_seek, "EVENTS", 30)
        begun = search(*[Verdict.OWNER] * 100)
        for _ in range(100):
            pass
        assert 0 < len(begun.rules.asked) < 30
        assert sys.gettrace() is None
        assert begun.found == []

    @pytest.mark.parametrize("change", [{"schedtick": 2}, {"carrier": None}], ids=["another step", "the hub"])
    def test_is_over_when_the_step_is_over(self, search, p, change):
        """Another step, or the hub: it is not looked for there."""
        begun = search()
        vars(p).update(change)
        for _ in range(3):
            pass
        assert begun.rules.asked == []
        assert sys.gettrace() is None
        assert not begun.seeker.armed

    def test_leaves_no_trace_function_on_a_frame(self, search):
        """Neither where it began, nor in functions that were called meanwhile, nor further out."""
        frames = [sys._getframe()]
        begun = search(Verdict.OWNER)

        def called():
            frames.append(sys._getframe())
            for _ in range(3):
                pass

        called()
        assert len(begun.found) == 1
        frame = frames[0]
        while frame is not None:
            frames.append(frame)
            frame = frame.f_back
        assert [frame for frame in frames if frame.f_trace is not None] == []

    def test_never_replaces_somebody_elses_tracer(self, p, g):
        """A debugger, a coverage tool: the search does not begin."""
        rules = Rules()
        seeker = Seeker(p, rules, print)

        def theirs(*_args):
            return None

        sys.settrace(theirs)
        try:
            armed = seeker.arm(g, sys._getframe())
            seen = sys.gettrace()
        finally:
            sys.settrace(None)
        assert not armed
        assert seen is theirs
        assert not seeker.armed

    def test_a_tracer_that_is_installed_meanwhile_stays(self, search):
        """Disarming removes our own function only."""

        def theirs(*_args):
            return None

        begun = search()
        sys.settrace(theirs)
        begun.seeker.disarm()
        seen = sys.gettrace()
        sys.settrace(None)
        assert seen is theirs
        assert sys._getframe().f_trace is None

    def test_a_mask_is_respected(self, search, p):
        """Also an eager task's, whose G is not the step's."""
        p.masked = lambda _g: True
        begun = search()
        for _ in range(3):
            pass
        assert (begun.rules.asked, begun.found) == ([], [])

    def test_an_error_of_the_rules_is_not_the_users(self, search, p):
        """What fails in the trace function must not surface in the step: it is reported from the loop."""

        class BrokenError(Exception):
            pass

        def verdict(*_args, **_kwargs):
            raise BrokenError

        begun = search()
        begun.rules.verdict = verdict
        for _ in range(3):
            pass
        assert begun.found == []
        ((_, where, error),) = p.host.posted
        assert (where, type(error)) == ("seek", BrokenError)


class TestPreemption:
    """With a signal, in a loop."""

    @pytest.mark.uninjected("that a search begins and ends")
    def test_a_step_that_lives_in_c_calls_is_preempted(self, make_loop):
        """json of medium objects: nearly every tick meets it inside a call."""
        rows = [{"id": n, "name": f"row {n}", "values": list(range(20))} for n in range(60)]

        async def main():
            frame, preemptions = sys._getframe(), asyncio.current_task().g.extra().preemptions
            for _ in range(200_000):
                json.dumps(rows)
                if preemptions.get(PreemptKind.SEEK):
                    break
            return preemptions, frame

        preemptions, frame = preemptio.run(main(), loop_factory=make_loop)
        assert preemptions[PreemptKind.SEEK] >= 1
        assert (frame.f_trace, sys.gettrace()) == (None, None)

    def test_somebody_elses_tracer_survives_a_busy_step(self):
        """A tracer in C is not replaced: the step is preempted where the tick itself meets a safe place, or never."""
        program = """
        import asyncio, json, preemptio, sys, threading
        class Tracer:  # not a function: what coverage.py's C tracer looks like from here
            def __call__(self, frame, event, arg):
                return None
        async def main():
            task = asyncio.current_task()
            tracer, rows = Tracer(), list(range(2000))
            sys.settrace(tracer)
            for _ in range(2000):
                json.dumps(rows)
            kept = sys.gettrace() is tracer
            sys.settrace(None)
            return [kept, "seek" in [str(kind) for kind in task.g.preemptions], "opcode" in map(str, task.g.refusals)]
        print(json.dumps(preemptio.run(main())))
        """
        assert run_program(program, PREEMPTIO_SLICE="1ms") == [True, False, True]


def test_a_tick_while_somebody_sets_his_trace_function():
    """3.11 refuses a second one then, which is no fault of the tick's: no search begins, no frame stays traced."""
    program = """
        import json, sys
        from types import SimpleNamespace
        from preemptio._preempt._seek import Seeker

        p = SimpleNamespace(schedtick=1)
        seeker = Seeker(p, None, None)
        got = []

        def hook(event, _args):
            if event == "sys.settrace" and not got:
                got.append("once")
                got.append(seeker.arm("a G", sys._getframe()))
                got.append((seeker.armed, sys._getframe().f_trace is not None))
                seeker.disarm()

        sys.addaudithook(hook)
        sys.settrace(None)
        print(json.dumps(got))
    """
    begins = sys.version_info >= (3, 12)
    assert run_program(program) == ["once", begins, [begins, begins]]
