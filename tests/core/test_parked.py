"""The parked queue: who of the preempted runs on next, and when."""

from types import SimpleNamespace

import pytest
from hypothesis import given, strategies

from preemptio._core import _processor
from preemptio._core._g import new_g
from preemptio._core._parked import NICE_WEIGHT, Parked, ParkedQueue, entered_context
from preemptio._core._processor import Processor

SLICE = 0.01


def make_g(vruntime=0.0, background=False):
    g = new_g(lambda: None, None, -1)
    g.extra().background = background
    g.extra().vruntime = vruntime
    return g


def record(g):
    return Parked(g, None, None, None, None)


def push(queue, *gs):
    records = [record(g) for g in gs]
    for g, one in zip(gs, records, strict=True):
        queue.push(g, one)
    return records


def drain(queue):
    return [queue.pop() for _ in range(len(queue))]


class TestOrder:
    """pop and entries."""

    def test_least_virtual_time_first(self):
        """Whoever had the least CPU goes first, whoever came first."""
        queue = ParkedQueue(SLICE)
        most, least, middle = push(queue, make_g(3.0), make_g(1.0), make_g(2.0))
        assert drain(queue) == [least, middle, most]

    def test_equals_in_the_order_of_arrival(self):
        """Of two that had the same, the one that came first."""
        queue = ParkedQueue(SLICE)
        records = push(queue, *(make_g(1.0) for _ in range(5)))
        assert drain(queue) == records

    def test_in_order_of_arrival_under_fault_injection(self):
        """CPU time is not the same twice: where a run is to be repeated it does not count, the class does."""
        queue = ParkedQueue(SLICE)
        queue.in_order = True
        background, *records = push(queue, make_g(0.0, background=True), make_g(3.0), make_g(1.0), make_g(2.0))
        assert drain(queue) == [*records, background]

    def test_background_last(self):
        """The background class waits for the others, however little it had."""
        queue = ParkedQueue(SLICE)
        background, other = push(queue, make_g(0.0, background=True), make_g(5.0))
        assert drain(queue) == [other, background]

    def test_entries_shows_the_order_and_takes_nothing(self):
        """What a dump prints is what would happen."""
        queue = ParkedQueue(SLICE)
        push(queue, make_g(2.0), make_g(0.0, background=True), make_g(1.0), make_g(2.0))
        shown = queue.entries()
        assert len(queue) == 4
        assert drain(queue) == shown

    def test_a_deferred_step_stands_in_the_same_order(self):
        """The next step of a background G is an entry like the rest of a step."""
        queue = ParkedQueue(SLICE)
        g = make_g(0.0, background=True)
        step = (g, print, (), None)
        queue.push(g, step)
        (other,) = push(queue, make_g(1.0))
        assert drain(queue) == [other, step]

    @given(strategies.lists(strategies.tuples(strategies.booleans(), strategies.floats(0, 100)), max_size=20))
    def test_any_mix_comes_out_sorted(self, gs):
        """Class first, then virtual time as it was when pushed, then arrival."""
        queue = ParkedQueue(SLICE)
        records = push(queue, *(make_g(vruntime, background) for background, vruntime in gs))
        expected = sorted(records, key=lambda one: (one.g.background, one.g.extra().vruntime, records.index(one)))
        assert drain(queue) == expected


class TestNewcomer:
    """The lift of push."""

    def test_is_lifted_to_the_queues_time(self):
        """A fresh hog does not shut out one that has run for an hour: it is one slice ahead at most."""
        queue = ParkedQueue(SLICE)
        push(queue, make_g(3600.0))
        queue.pop()
        fresh = make_g(0.0)
        push(queue, fresh)
        assert fresh.extra().vruntime == 3600.0 - SLICE

    def test_is_not_lowered(self):
        """One that had more than the others keeps it."""
        queue = ParkedQueue(SLICE)
        push(queue, make_g(1.0))
        queue.pop()
        old = make_g(9.0)
        push(queue, old)
        assert old.extra().vruntime == 9.0

    def test_the_queues_time_never_goes_back(self):
        """Popping a G of the past does not open the door to other newcomers."""
        queue = ParkedQueue(SLICE)
        push(queue, make_g(5.0), make_g(7.0), make_g(6.0, background=True))
        drain(queue)
        fresh = make_g(0.0)
        push(queue, fresh)
        assert fresh.extra().vruntime == 7.0 - SLICE


class TestNice:
    """Processor.charge weighs CPU time for this queue."""

    @pytest.mark.parametrize("nice", [-20, -1, 0, 1, 19])
    def test_weighs_virtual_time_only(self, nice, monkeypatch):
        """A step of nice makes time count a quarter more; the CPU time that is shown stays the real one."""
        clock = SimpleNamespace(thread_time=lambda: 12.0)
        monkeypatch.setattr(_processor, "time", clock)
        p = Processor(None, SLICE, 1)
        p.cpu_mark = 10.0
        g = make_g()
        g.extra().nice = nice
        p.charge(g)
        p.charge(g)  # no time has passed: nothing more to add
        assert (g.cpu_time, g.extra().vruntime) == (2.0, pytest.approx(2.0 * NICE_WEIGHT**nice))

    def test_the_nicer_of_two_equals_comes_later(self):
        """After the same CPU time the nicer one stands behind."""
        queue = ParkedQueue(SLICE)
        nice, plain = push(queue, make_g(1.0 * NICE_WEIGHT**3), make_g(1.0))
        assert drain(queue) == [plain, nice]


class TestDue:
    """When the head may run."""

    @pytest.mark.parametrize(("quiet", "due"), [(0, False), (1, False), (2, True), (9, True)])
    def test_two_quiet_turns(self, quiet, due):
        """One quiet turn may only mean that I/O is on its way; after two the CPU is free."""
        queue = ParkedQueue(SLICE)
        push(queue, make_g())
        queue.since = 100.0
        assert queue.due(100.0, quiet) is due

    @pytest.mark.parametrize(("parked", "slices"), [(1, 4), (2, 2), (4, 1), (8, 1)])
    def test_fair_share_beside_a_busy_loop(self, parked, slices):
        """One resumption every max(1, 4 / n) slices: a fifth of the CPU for one hog, half for four or more."""
        queue = ParkedQueue(SLICE)
        push(queue, *(make_g() for _ in range(parked)))
        queue.since = 100.0
        assert not queue.due(100.0 + slices * SLICE - SLICE / 100, 0)
        assert queue.due(100.0 + slices * SLICE + SLICE / 100, 0)

    def test_background_has_no_fair_share(self):
        """It waits for quiet, however long the loop is busy."""
        queue = ParkedQueue(SLICE)
        push(queue, make_g(background=True))
        assert not queue.due(1e9, 1)
        assert queue.due(0.0, 2)

    def test_background_does_not_hold_up_the_others(self):
        """The share is that of the head, which is never of the background class while another is parked."""
        queue = ParkedQueue(SLICE)
        push(queue, make_g(background=True), make_g())
        assert queue.due(1e9, 0)

    def test_nobody_is_due_in_an_empty_queue(self):
        """Quiet or not."""
        assert not ParkedQueue(SLICE).due(1e9, 99)


class TestRemove:
    """remove, for a loop that closes."""

    @given(strategies.lists(strategies.floats(0, 9), min_size=1, max_size=12), strategies.data())
    def test_takes_one_and_keeps_the_order_of_the_rest(self, vruntimes, data):
        """Wherever it stood; the second time it is not there any more."""
        queue = ParkedQueue(SLICE)
        push(queue, *map(make_g, vruntimes))
        rest = queue.entries()
        gone = rest.pop(data.draw(strategies.integers(0, len(rest) - 1)))
        assert queue.remove(gone)
        assert not queue.remove(gone)
        assert drain(queue) == rest


def test_a_host_may_wrap_the_context_of_a_step():
    """`entered` of the wrapper is the context that counts."""
    wrapper = SimpleNamespace(entered="inner")
    assert entered_context((None, print, (), wrapper)) == "inner"
    assert entered_context((None, print, (), "plain")) == "plain"
