"""The guard: checkpoints cost nothing until somebody asks, and then only the one who was asked gives way."""

import threading
from types import SimpleNamespace

import pytest

from preemptio._core import _guard
from preemptio._core._current import set_current_processor
from preemptio._core._g import new_g
from preemptio._core._gstatus import RUNNING, WAITING
from preemptio._core._guard import UNITS_PER_SLICE, charge, checkpoint, poison, restore, should_yield
from preemptio._core._processor import Processor
from preemptio._core._reasons import PreemptKind


class Recorder(Processor):
    """A processor with one G running a step, that remembers the preemptions instead of switching."""

    def __init__(self):
        super().__init__(SimpleNamespace(innermost_g=lambda: None), 10.0, 1)
        self.preempted = []
        self.next_step()

    def next_step(self, g=None):
        """Let a G run a step: the same as before, or another."""
        g = g or (self.step[0] if self.step else new_g(lambda: None, None, -1))
        g.status = RUNNING
        self.step = (g, print, (), None)
        self.schedtick += 1
        return g

    def preempt(self, g, kind):
        self.preempted.append((g, kind))
        g.preempt = False
        restore(self)


@pytest.fixture
def p(monkeypatch):
    monkeypatch.setattr(_guard, "_who", set())
    monkeypatch.setattr(_guard, "_poisoned", False)
    p = Recorder()
    before = set_current_processor(p)
    yield p
    set_current_processor(before)


class TestCheckpoint:
    """checkpoint and should_yield."""

    def test_does_nothing_while_nobody_asked(self, p):
        """The fast path looks at nothing but the poison: not even at the G's flag."""
        p.curg.preempt = True
        assert not should_yield()
        checkpoint()
        assert p.preempted == []

    def test_gives_way_once_when_asked(self, p):
        """A request is answered by the next checkpoint, and by that one only."""
        g = p.curg
        p.request(g)
        assert should_yield()
        checkpoint()
        checkpoint()
        assert p.preempted == [(g, PreemptKind.SYNC)]
        assert not should_yield()

    def test_needs_the_flag_too(self, p):
        """A poisoned guard alone is somebody else's request."""
        poison(p)
        checkpoint()
        assert not should_yield()
        assert p.preempted == []

    def test_only_the_g_that_was_asked_gives_way(self, p):
        """A request to a G whose step is over does not hit the next one."""
        p.request(p.curg)
        p.next_step(new_g(lambda: None, None, -1))
        checkpoint()
        assert p.preempted == []

    def test_does_nothing_outside_a_step(self, p):
        """A plain callback, a thread without a loop: no G, nothing to give way."""
        p.request(p.curg)
        step, p.step = p.step, None
        checkpoint()
        assert not should_yield()
        set_current_processor(None)
        checkpoint()
        assert not should_yield()
        set_current_processor(p)
        assert p.preempted == []
        p.step = step
        checkpoint()
        assert len(p.preempted) == 1

    def test_does_nothing_in_another_thread(self, p):
        """The guard is the process's, the request is not."""
        p.request(p.curg)
        said = []
        thread = threading.Thread(target=lambda: (checkpoint(), said.append(should_yield())))
        thread.start()
        thread.join()
        assert said == [False]
        assert p.preempted == []
        assert should_yield()

    def test_does_nothing_while_the_status_changes(self, p):
        """A G that is not RUNNING is half-way into or out of its carrier."""
        p.request(p.curg)
        p.curg.status = WAITING
        checkpoint()
        assert p.preempted == []


class TestManyProcessors:
    """One flag for the whole process."""

    def test_one_that_is_restored_leaves_the_others_poison(self, p):
        """Two loops in two threads: what one drops, the other still gets."""
        other = Recorder()
        p.request(p.curg)
        other.request(other.curg)
        restore(other)
        assert should_yield()
        poison(other)
        p.settle()
        checkpoint()
        assert p.preempted == []
        set_current_processor(other)
        checkpoint()
        assert len(other.preempted) == 1
        assert not _guard._poisoned

    def test_restoring_twice_is_restoring(self, p):
        """Nothing is counted."""
        poison(p)
        poison(p)
        restore(p)
        restore(p)
        assert not _guard._poisoned


class TestClocked:
    """A processor without a tick."""

    def test_stays_poisoned(self, p):
        """Its checkpoints are the only clock there is."""
        p.clocked = True
        poison(p)
        restore(p)
        assert _guard._poisoned

    def test_gives_way_when_the_clock_says_so(self, p):
        """The first checkpoint of a step starts the clock; one after the slice's end gives way, unasked."""
        p.clocked = True
        poison(p)
        p.slice = 3600.0
        checkpoint()
        checkpoint()
        assert p.preempted == []
        p.slice = 0.0
        assert should_yield()
        checkpoint()
        assert p.preempted == [(p.curg, PreemptKind.SYNC)]

    def test_each_step_has_its_own_clock(self, p):
        """A new step, or a resumed one, has its slice before it."""
        p.clocked = True
        poison(p)
        p.slice = 0.0
        checkpoint()
        p.next_step()
        checkpoint()
        assert p.preempted == []
        checkpoint()
        assert len(p.preempted) == 1


class TestCharge:
    """charge."""

    def test_refuses_negative_work(self, p):
        """A refund is a mistake in the caller, and says so even outside a task."""
        with pytest.raises(ValueError, match=r"units >= 0 .* not -1"):
            charge(-1)
        set_current_processor(None)
        with pytest.raises(ValueError, match="not -5"):
            charge(-5)

    def test_a_slice_of_units_gives_way(self, p):
        """1000 at once, or in parts; 999 not yet."""
        charge(UNITS_PER_SLICE - 1)
        assert p.preempted == []
        charge(1)
        assert p.preempted == [(p.curg, PreemptKind.SYNC)]
        charge(UNITS_PER_SLICE)
        assert len(p.preempted) == 2

    def test_counts_afresh_in_a_new_step(self, p):
        """What was used before an await is not held against the next step."""
        charge(UNITS_PER_SLICE - 1)
        p.next_step()
        charge(UNITS_PER_SLICE - 1)
        assert p.preempted == []

    def test_each_g_has_its_own_count(self, p):
        """Two Gs in one tick of the scheduler's counter do not add up."""
        first = p.curg
        charge(600)
        p.step = (new_g(lambda: None, None, -1), print, (), None)
        p.curg.status = RUNNING
        charge(600)
        p.step = (first, print, (), None)
        assert p.preempted == []
        charge(400)
        assert p.preempted == [(first, PreemptKind.SYNC)]

    def test_is_a_checkpoint_too(self, p):
        """charge(0) answers a request that was made otherwise."""
        p.request(p.curg)
        charge(0)
        assert len(p.preempted) == 1

    def test_does_nothing_outside_a_step(self, p):
        """There is nobody to charge."""
        step, p.step = p.step, None
        charge(10 * UNITS_PER_SLICE)
        p.step = step
        checkpoint()
        assert p.preempted == []
