"""nopreempt: a region is never interrupted, and no request made inside it is lost."""

import asyncio
import sys
from types import SimpleNamespace

import pytest

import preemptio
from preemptio._core import _guard
from preemptio._core._current import set_current_processor
from preemptio._core._g import new_g
from preemptio._core._gstatus import RUNNING, WAITING
from preemptio._core._guard import checkpoint, restore, should_yield
from preemptio._core._mask import nopreempt
from preemptio._core._processor import Processor
from preemptio.lowlevel import current_g


class Recorder(Processor):
    """A processor whose Gs count their preemptions instead of switching."""

    def __init__(self):
        super().__init__(SimpleNamespace(innermost_g=lambda: self.eager), 10.0, 1)
        self.eager = None  # the G of an eager task inside the step
        self.preempted = []

    def run(self, g):
        """Make `g` the one that runs."""
        g.status = RUNNING
        self.step = (g, print, (), None)
        self.schedtick += 1

    def preempt(self, g, kind):
        self.preempted.append(g)
        g.preempt = False
        restore(self)


def make_g():
    return new_g(lambda: None, None, -1)


@pytest.fixture
def p(monkeypatch):
    monkeypatch.setattr(_guard, "_who", set())
    monkeypatch.setattr(_guard, "_poisoned", False)
    p = Recorder()
    p.run(make_g())
    before = set_current_processor(p)
    yield p
    set_current_processor(before)


def request_inside(p):
    """Ask the running G to give way and show that it does not, here."""
    p.request(p.curg)
    checkpoint()
    checkpoint()
    assert not should_yield()
    assert p.preempted == []


def raise_inside(p):
    with nopreempt("region"):
        request_inside(p)
        raise ZeroDivisionError


def assert_answered(p):
    """The request is answered at the first checkpoint, once."""
    checkpoint()
    checkpoint()
    assert p.preempted == [p.curg]


class TestRequestInside:
    """A request is masked, not lost."""

    def test_is_answered_after_the_region(self, p):
        """The end of the mask poisons the guard that a checkpoint inside had restored."""
        with nopreempt("region"):
            request_inside(p)
            assert not _guard._poisoned  # the next checkpoints inside are cheap again
        assert_answered(p)

    def test_is_answered_after_the_outermost_region(self, p):
        """Leaving an inner region is not enough."""
        with nopreempt("outer"):
            with nopreempt("inner"):
                request_inside(p)
            checkpoint()
            assert p.preempted == []
        assert_answered(p)

    def test_is_answered_after_an_exception(self, p):
        """However the region is left."""

        @nopreempt("outer")
        def fails():
            with nopreempt("inner"):
                request_inside(p)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fails()
        assert_answered(p)

    def test_is_kept_while_an_exception_leaves_the_region(self, p):
        """What handles the exception runs before anything else does."""
        with pytest.raises(ZeroDivisionError):
            raise_inside(p)
        assert p.preempted == []
        assert_answered(p)

    def test_made_before_the_region_is_answered_after_it(self, p):
        """It does not matter when the request came."""
        p.request(p.curg)
        with nopreempt("region"):
            checkpoint()
            assert p.preempted == []
        assert_answered(p)

    def test_no_request_no_poison(self, p):
        """A region costs nobody a slow checkpoint afterwards."""
        with nopreempt("region"):
            checkpoint()
        assert not _guard._poisoned
        checkpoint()
        assert p.preempted == []

    def test_in_a_clocked_processor(self, p):
        """Where checkpoints read the clock, a slice that ends inside is noticed after the region."""
        p.clocked = True
        p.slice = 0.0
        _guard.poison(p)
        checkpoint()
        with nopreempt("region"):
            checkpoint()
            assert not should_yield()
            assert p.preempted == []
        assert_answered_by_clock(p)


def assert_answered_by_clock(p):
    checkpoint()
    assert p.preempted[:1] == [p.curg]


class TestDepth:
    """locks and reasons."""

    def test_the_innermost_reason_is_shown(self, p):
        """What a dump says of a G that cannot be preempted."""
        g = p.curg
        seen = [g.reason]
        with nopreempt("outer"):
            seen.append(g.reason)
            with nopreempt("inner"):
                seen.append(g.reason)
                assert "preempt_off=['outer', 'inner']" in g.dump()
            seen.append(g.reason)
        assert [*seen, g.reason, g.locks] == ["", "outer", "inner", "outer", "", 0]

    def test_one_object_may_be_nested(self, p):
        """A module-level region that is entered again by what it calls."""
        region = nopreempt("same")
        with region:
            with region:
                request_inside(p)
                assert p.curg.locks == 2
            checkpoint()
            assert p.preempted == []
        assert_answered(p)

    def test_may_be_left_out_of_order(self, p):
        """ExitStack and hand-written enters: the mask is up until the last is left."""
        first, second = nopreempt("first"), nopreempt("second")
        first.__enter__()
        second.__enter__()
        request_inside(p)
        first.__exit__(None, None, None)
        assert (p.curg.locks, p.curg.reason) == (1, "second")
        second.__exit__(None, None, None)
        assert_answered(p)

    def test_does_nothing_outside_a_g(self, p):
        """A library may use it unconditionally; a G that comes later is not masked by it."""
        g, p.step = p.curg, None
        with nopreempt("callback"):
            p.run(g)
            assert g.locks == 0
        assert g.locks == 0
        set_current_processor(None)
        with nopreempt("no loop"):
            pass
        set_current_processor(p)
        p.request(g)
        assert_answered(p)


class TestWhose:
    """The mask is the G's."""

    def test_stays_up_while_the_g_waits(self, p):
        """An await inside the region: the others are not masked, and it still is when it runs again."""
        first, second = p.curg, make_g()
        with nopreempt("across an await"):
            first.status = WAITING
            p.run(second)
            assert (first.locks, second.locks) == (1, 0)
            p.request(second)
            assert_answered(p)
            del p.preempted[:]
            p.run(first)
            request_inside(p)
        assert_answered(p)

    def test_an_eager_task_masks_the_step_that_it_runs_in(self, p):
        """It is not the step's G, but its code is what would be stopped."""
        outer, p.eager = p.curg, make_g()
        p.eager.status = RUNNING
        with nopreempt("inner"):
            assert (outer.locks, p.eager.locks) == (0, 1)
            request_inside(p)
            eager, p.eager = p.eager, None  # it waits, inside the region; its creator goes on, and is asked again
            p.request(outer)
            assert should_yield()
            p.eager = eager
        assert_answered(p)

    def test_two_gs_in_the_same_region_do_not_share_it(self, p):
        """One object, entered by both: the first to leave does not unmask the second."""
        region, first, second = nopreempt("shared"), p.curg, make_g()
        region.__enter__()
        p.run(second)
        region.__enter__()
        p.run(first)
        region.__exit__(None, None, None)
        assert (first.locks, second.locks) == (0, 1)

    @pytest.mark.loop
    @pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")
    def test_an_eager_task_masks_itself_not_its_creator(self):
        """The first part of an eager task runs within its creator's step, and the region is the task's all the same."""

        async def inner():
            with nopreempt("inner"):
                await asyncio.sleep(0)

        async def main():
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            task = asyncio.create_task(inner())
            while_it_waits = current_g().locks
            await task
            return while_it_waits, current_g().locks

        base = asyncio.SelectorEventLoop
        assert preemptio.run(main(), loop_factory=lambda: preemptio.new_event_loop(base)) == (0, 0)


class TestDecorator:
    """nopreempt as a decorator."""

    def test_masks_the_body_of_a_function(self, p):
        """The whole body is the region, and the result and the name are the function's."""

        @nopreempt("body")
        def body(n, *, m):
            """Doc."""
            request_inside(p)
            return n + m

        assert body(1, m=2) == 3
        assert (body.__name__, body.__doc__, p.curg.locks) == ("body", "Doc.", 0)
        assert_answered(p)

    def test_masks_the_body_of_a_coroutine_function(self, p):
        """Also across its awaits; making the coroutine masks nothing."""

        @nopreempt("body")
        async def body(n):
            request_inside(p)
            await asyncio.sleep(0)
            return p.curg.reason, n

        coro = body(5)
        assert p.curg.locks == 0
        coro.send(None)
        assert p.curg.locks == 1
        with pytest.raises(StopIteration) as done:
            coro.send(None)
        assert done.value.value == ("body", 5)
        assert_answered(p)

    def test_may_recurse(self, p):
        """Each call is a region of its own."""

        @nopreempt("recursion")
        def down(n):
            return p.curg.locks if n == 0 else down(n - 1)

        assert (down(4), p.curg.locks) == (5, 0)

    def test_says_so_when_the_reason_is_missing(self):
        """`@nopreempt` without brackets is refused where it is written, with what to type."""
        with pytest.raises(TypeError, match=r"with preemptio\.nopreempt\('why'\)"):
            nopreempt(lambda: None)
