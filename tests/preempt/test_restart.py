"""@restartable: what is read half-way is read again, what has an effect happens once, and it comes to an end."""
# ruff: noqa: RET504 - the last statement is a place of its own, so what is returned is computed before it

import asyncio
import contextlib
import functools
import inspect
import json
import sys
import threading
import time
import weakref

import pytest
from greenlet import greenlet

import preemptio
from preemptio._core._current import current_g
from preemptio._core._gstatus import PREEMPTED
from preemptio._core._reasons import PreemptKind, Verdict
from preemptio._preempt._opcodes import at_safe_opcode
from preemptio._preempt._restart import RESTARTS, TORN
from preemptio._preempt._sections import held_offsets
from tests.behaviour._support import limit

exact = pytest.mark.uninjected("it is interrupted more often than the test says")


@pytest.fixture
def run(make_loop):
    """Run a function as a task of a loop without a tick, beside one that counts in `world` whenever it may."""

    def run(fn, *args, world=None, **options):
        world = [0] if world is None else world
        ended = []

        async def others():
            while not ended:
                world[0] += 1
                await asyncio.sleep(0)

        async def main():
            other = asyncio.create_task(others())
            await asyncio.sleep(0)
            task = preemptio.go(fn, *args, **options)
            try:
                return await task, task.g
            finally:
                assert task.g._extra.restartable is None
                ended.append(1)
                await other

        return preemptio.run(main(), loop_factory=lambda: make_loop(source="none"))

    return run


def give_way():
    """Give the CPU away, if that may be done here."""
    preemptio.charge(1000)


class Attempts(list):
    """Counts how often a function was begun; gives way in the first `n` of them."""

    def __init__(self, n):
        super().__init__()
        self.n = n

    def begin(self):
        self.append(1)

    def give_way(self):
        if len(self) <= self.n:
            give_way()


def reader(attempts, world):
    """Return a function that reads the same thing twice, with a place between where it may have to give way."""

    def read():
        attempts.begin()
        first = world[0]
        attempts.give_way()
        second = world[0]
        return first, second

    return read


class TestBegunAgain:
    """What others may have changed in between is not used."""

    def test_without_the_decorator_the_read_is_torn(self, run):
        """Else the next tests would say nothing."""
        world = [0]
        read = reader(Attempts(1000), world)
        pairs, _ = run(lambda: [read() for _ in range(100)], world=world)
        assert any(first != second for first, second in pairs)

    @exact
    def test_a_read_that_was_interrupted_is_done_again(self, run):
        """Both halves are from the same moment, and the function was begun once more."""
        world, attempts = [0], Attempts(1)
        (first, second), g = run(preemptio.restartable(reader(attempts, world)), world=world)
        assert first == second
        assert (len(attempts), g.restarts) == (2, 1)

    @exact
    def test_after_some_times_it_runs_masked(self, run):
        """However often it is interrupted: the last attempt is not."""
        world, attempts, masks = [0], Attempts(1000), []

        @preemptio.restartable
        def read():
            attempts.begin()
            first = world[0]
            masks.append(current_g().reason)
            attempts.give_way()
            return first, world[0]

        (first, second), g = run(read, world=world)
        assert first == second
        assert len(attempts) == RESTARTS + 1
        assert g.restarts == RESTARTS
        assert [bool(mask) for mask in masks] == [False] * RESTARTS + [True]
        assert read.__qualname__ in masks[-1]

    def test_nothing_runs_after_the_interruption(self, run):
        """The restart comes before the next instruction of the function's: no torn read is ever used."""
        world, attempts, reached = [0], Attempts(1), []

        @preemptio.restartable
        def read():
            attempts.begin()
            first = world[0]
            attempts.give_way()
            if world[0] != first:
                reached.append(1)
            done = True
            return done

        run(read, world=world)
        assert reached == []

    @exact
    def test_a_checkpoint_counts_like_a_tick(self, run):
        """In a callee, too."""
        attempts = Attempts(1)

        @preemptio.restartable
        def read():
            attempts.begin()
            for _ in range(limit()):  # a slice by the clock
                preemptio.checkpoint()
                if len(attempts) > 1:
                    break
            else:
                raise AssertionError("never interrupted")
            rows = list(range(3))
            return rows

        assert run(read)[0] == [0, 1, 2]

    @exact
    def test_the_outermost_is_begun_again(self, run):
        """What an inner one has read belongs to what the outer one reads."""
        world, inner, outer = [0], Attempts(1), Attempts(0)
        read = preemptio.restartable(reader(inner, world))

        @preemptio.restartable
        def read_both():
            outer.begin()
            before = world[0]
            pair = read()
            after = world[0]
            return {before, *pair, after}

        found, g = run(read_both, world=world)
        assert len(found) == 1
        assert (len(outer), len(inner), g.restarts) == (2, 2, 1)

    @exact
    def test_a_recursion_is_begun_again_at_its_outermost_call(self, run):
        """Every level is a section within a section."""
        calls, attempts = [], Attempts(1)

        @preemptio.restartable
        def depth(n):
            calls.append(n)
            below = 0
            if n:
                below = depth(n - 1)
            elif calls.count(3) == 1:
                attempts.begin()
                attempts.give_way()
            total = below + 1
            return total

        assert run(depth, 3)[0] == 4
        assert calls == [3, 2, 1, 0, 3, 2, 1, 0]

    @exact
    def test_a_stop_for_a_suspender_counts(self, run):
        """Stopped as PREEMPTED and claimed: others ran, so it is begun again."""
        world, attempts = [0], Attempts(1)

        async def main():
            task = preemptio.go(preemptio.restartable(reader(attempts, world)))
            task.g.extra().preempt_stop = True  # as a thread's request does while it runs
            while task.g.status is not PREEMPTED:
                await asyncio.sleep(0)
            async with preemptio.suspended(task):
                world[0] += 1
            return await task, task.g.restarts

        (first, second), restarts = run(main)[0]
        assert first == second > 0
        assert restarts == 1

    @exact
    def test_each_call_is_counted_by_itself(self, run):
        """The bound is for one call; the next begins anew."""
        world = [0]

        def many():
            for _ in range(5):
                attempts = Attempts(2)
                first, second = preemptio.restartable(reader(attempts, world))()
                assert first == second
                assert len(attempts) == 3
            return True

        assert run(many, world=world)[1].restarts == 10

    def test_a_section_that_was_left_behind_is_none(self, run):
        """An exception that hits the wrapper's own last lines does not unprotect what comes later."""
        world, attempts = [0], Attempts(1)
        read = preemptio.restartable(reader(attempts, world))

        def leave_behind():
            current_g().extra().restartable = TORN
            give_way()  # not in a section: nothing in the way
            return read()

        (first, second), g = run(leave_behind, world=world)
        assert first == second
        assert g.restarts >= 1


class TestNotLeft:
    """Where it could not be begun again it is not interrupted."""

    def test_the_last_statement_happens_once(self, run):
        """With all that it calls, also at its own function entries and loops."""
        world, journal = [0], []

        def post(row):
            give_way()
            journal.append(row)
            for _ in range(3):
                give_way()
            return row

        @preemptio.restartable
        def book():
            row = world[0]
            return [post(
                row
            ) for _ in range(2)], world[0]  # fmt: skip

        (rows, after), g = run(book, world=world)
        assert rows == journal
        assert len(journal) == 2
        assert {*rows, after} == {rows[0]}
        assert PreemptKind.SYNC not in g.preemptions

    def test_a_request_in_it_is_kept(self, run):
        """The next checkpoint behind the function gives way."""

        @preemptio.restartable
        def read():
            rows = [1, 2]
            return [give_way() for _ in rows]

        def twice():
            read()
            before = current_g().preemptions.get(PreemptKind.SYNC, 0)
            assert preemptio.should_yield()
            preemptio.checkpoint()
            return current_g().preemptions[PreemptKind.SYNC] - before

        assert run(twice)[0] == 1

    def test_inside_try_and_with(self, run):
        """Of the function itself; a way out by `finally` or `__exit__` is never half done."""
        world, undone = [0], []

        class Span:
            def __enter__(self):
                give_way()

            def __exit__(self, *exc):
                give_way()
                undone.append(exc[0])

        @preemptio.restartable
        def read():
            first = world[0]
            with Span():
                give_way()
            try:
                give_way()
                raise KeyError
            except KeyError:
                give_way()
            finally:
                give_way()
                undone.append("finally")
            second = world[0]
            return first, second

        (first, second), g = run(read, world=world)
        assert first == second
        assert undone[-2:] == [None, "finally"]
        assert len(undone) == 2 * (g.restarts + 1)

    def test_below_a_function_that_has_them(self, run):
        """A handler of a function that is called would see the restart, so nothing below it is left."""
        world, caught = [0], []

        def careless():
            try:
                give_way()
            except BaseException as exc:
                caught.append(exc)

        @preemptio.restartable
        def read():
            first = world[0]
            careless()
            second = world[0]
            return first, second

        (first, second), g = run(read, world=world)
        assert first == second
        assert caught == []
        assert PreemptKind.SYNC not in g.preemptions

    def test_below_an_inner_one_that_has_them(self, run):
        """An inner restartable function is a function that is called like any other."""
        world = [0]

        @preemptio.restartable
        def inner():
            give_way()  # before its `try`: and yet a frame that has one
            try:
                n = len(world)
            except TypeError:
                n = 0
            return n

        @preemptio.restartable
        def read():
            first = world[0]
            inner()
            second = world[0]
            return first, second

        (first, second), g = run(read, world=world)
        assert first == second
        assert PreemptKind.SYNC not in g.preemptions

    def test_an_inner_one_in_the_last_statement(self, run):
        """It belongs to the outer one, which may have had its effect."""
        world = [0]

        @preemptio.restartable
        def inner():
            give_way()
            n = len(world)
            return n

        @preemptio.restartable
        def read():
            first = world[0]
            return first, inner(), world[0]

        (first, _, second), g = run(read, world=world)
        assert first == second
        assert PreemptKind.SYNC not in g.preemptions

    def test_a_loop_around_a_try_may_be_left(self, run):
        """Between two rounds nothing is in the way."""
        rounds, attempts = [], Attempts(1)

        @preemptio.restartable
        def read():
            attempts.begin()
            for n in range(3):
                try:
                    rounds.append({0: "zero"}[n])
                except KeyError:
                    pass
                attempts.give_way()
            last = len(rounds)
            return last

        assert run(read)[1].restarts >= 1

    def test_in_a_finalizer(self, run):
        """What is raised there is dropped."""
        world = [0]

        class Dropped:
            def __del__(self):
                give_way()

        @preemptio.restartable
        def read():
            first = world[0]
            Dropped()
            second = world[0]
            return first, second

        (first, second), _ = run(read, world=world)
        assert first == second

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="no eager tasks")
    def test_below_an_eager_task(self, run):
        """The inner task would get what is raised there."""
        world, seen = [0], []

        async def eager():
            give_way()
            seen.append(world[0])

        @preemptio.restartable
        def read():
            first = world[0]
            task = asyncio.eager_task_factory(asyncio.get_running_loop(), eager())
            second = world[0]
            return first, second, task

        (first, second, task), _ = run(read, world=world)
        assert first == second
        assert task.exception() is None

    def test_in_a_greenlet_of_the_tasks_own(self, run):
        """It cannot give way there at all; and the task itself goes on as ever."""
        world, attempts = [0], Attempts(1)
        read = preemptio.restartable(reader(attempts, world))

        def nested():
            first, second = greenlet(read).switch()
            assert first == second
            return True

        assert run(nested, world=world)[0]

    @exact
    def test_in_nopreempt(self, run):
        """Around it, or around what it calls: what is masked is not interrupted, so not begun again."""
        world = [0]
        for where in ("around", "inside"):
            attempts = Attempts(1)
            masked = preemptio.nopreempt("test")
            read = reader(attempts, world)
            if where == "around":
                read = masked(preemptio.restartable(read))
            else:
                attempts.give_way = masked(attempts.give_way)
                read = preemptio.restartable(read)
            (first, second), _ = run(read, world=world)
            assert first == second
            assert len(attempts) == 1

    def test_without_source_it_is_never_interrupted(self, run):
        """Nobody knows then which statement is the last."""
        world, attempts = [0], Attempts(1)
        names = {"attempts": attempts, "world": world}
        exec("def read():\n first = world[0]\n attempts.give_way()\n second = world[0]\n return first, second", names)
        (first, second), g = run(preemptio.restartable(names["read"]), world=world)
        assert first == second
        assert g.restarts == 0


class TestBeside:
    """Cancellation, exceptions, waiting, and places where there is nothing to restart."""

    @exact
    def test_a_cancellation_goes_first(self, run):
        """It was delivered where the task stood: the function is left, not begun again."""
        attempts, caught = Attempts(1), []

        @preemptio.restartable
        def read():
            attempts.begin()
            attempts.give_way()
            rows = [1]
            return rows

        def victim():
            try:
                return read()
            except asyncio.CancelledError:
                caught.append(len(attempts))
                raise

        async def main():
            task = preemptio.go(victim, cancel="safepoint")
            while not task.g.parked:
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()
            return task.g

        g, _ = run(main)
        assert caught == [1]
        assert g.restarts == 0
        assert g._extra.restartable is None

    def test_a_cancellation_that_waits_for_an_await_does_not(self, run):
        """The function is begun again and ends; the next await raises."""
        attempts = Attempts(1)
        read = preemptio.restartable(reader(attempts, [0]))

        async def victim():
            read()
            await asyncio.sleep(0)
            raise AssertionError("not cancelled")

        async def main():
            task = asyncio.create_task(victim())
            while not task.g.parked:
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            return task.cancelled() and task.g.restarts >= 1

        assert run(main)[0]

    def test_its_own_exceptions_are_the_callers(self, run):
        """And it is not in a section any more."""

        @preemptio.restartable
        def fails():
            rows = [1]
            raise ValueError(rows)

        def calls():
            with pytest.raises(ValueError, match="1"):
                fails()
            return current_g()._extra.restartable

        assert run(calls)[0] is None

    @exact
    def test_c_code_that_drops_the_restart_is_found_out(self, run, monkeypatch):
        """What is returned then is no snapshot: an error says so. An error at the torn read is no news, though."""
        monkeypatch.setattr(sys, "unraisablehook", lambda _unraisable: None)
        world, attempts, failing = [0], Attempts(1), []

        class Thing:
            pass

        @preemptio.restartable
        def read():
            attempts.begin()
            thing = Thing()
            ref = weakref.ref(thing, lambda _: attempts.give_way())
            first = world[0]
            del thing  # what the callback raises is reported and dropped
            if failing and world[0] != first:
                raise ValueError(first)
            return ref, world[0], give_way()  # on its way out it is not interrupted again

        with pytest.raises(RuntimeError, match="dropped the restart"):
            run(read, world=world)
        attempts.clear()
        failing.append(1)
        assert run(read, world=world)[1].restarts == 1

    def test_wait_is_an_error_that_says_what_to_type(self, run):
        """In the function, in what it calls, and in its masked attempt; behind it waiting works."""
        attempts = Attempts(1000)

        def fetch():
            return preemptio.wait(asyncio.sleep(0, "x"))

        @preemptio.restartable
        def first():
            value = fetch()
            return value

        @preemptio.restartable
        def masked():
            attempts.begin()
            attempts.give_way()
            value = fetch() if current_g().locks else None
            return value

        def calls():
            for fn in (first, masked):
                with pytest.raises(RuntimeError, match=r"wait\(\) inside the restartable function .*nopreempt"):
                    fn()
            return fetch()

        assert run(calls)[0] == "x"

    def test_where_no_task_runs_it_is_just_called(self, run):
        """No loop, another thread, a plain callback."""
        attempts = Attempts(1000)
        read = preemptio.restartable(reader(attempts, [7]))
        assert read() == (7, 7)

        async def main():
            found = []
            thread = threading.Thread(target=lambda: found.append(read()))
            thread.start()
            thread.join()
            loop = asyncio.get_running_loop()
            called = loop.create_future()
            loop.call_soon(lambda: called.set_result(read()))
            return [*found, await called]

        assert run(main)[0] == [(7, 7), (7, 7)]
        assert len(attempts) == 3

    def test_it_stays_the_function_that_it_was(self):
        """Name, arguments, closure, methods, properties; and below @checkpointed it may give way as that says."""

        class Account:
            def __init__(self):
                self.a, self.b = 1, 2

            @preemptio.restartable
            def total(self, scale=1, *, plus=0):
                """Sum up."""
                parts = self.a, self.b
                return sum(parts) * scale + plus

            @property
            @preemptio.restartable
            def both(self):
                both = self.a, self.b
                return both

            @staticmethod
            @preemptio.restartable
            @preemptio.checkpointed
            def three():
                n = 0
                for _ in range(3):
                    n += 1
                return n

        account = Account()
        assert account.total(2, plus=1) == 7
        assert account.both == (1, 2)
        assert Account.three() == 3
        assert (Account.total.__name__, Account.total.__doc__) == ("total", "Sum up.")


class TestUnderTheTick:
    """By signals, as in a program."""

    @pytest.fixture
    def alone(self, make_loop):
        """Run a function beside a task that always wants to run."""

        def alone(fn):
            async def others(stop):
                while not stop:
                    await asyncio.sleep(0)

            async def main():
                stop = []
                other = asyncio.create_task(others(stop))
                task = preemptio.go(fn)
                try:
                    return await task, task.g
                finally:
                    stop.append(1)
                    await other

            return preemptio.run(main(), loop_factory=make_loop)

        return alone

    def test_a_loop_is_begun_again(self, alone):
        """A tick at its back edge; it would compute for ever otherwise."""

        @preemptio.restartable
        def read():
            extra = current_g().extra()
            for _ in range(limit()):
                if extra.restarts:
                    break
            else:
                raise AssertionError("never interrupted")
            found = extra.restarts
            return found

        found, g = alone(read)
        assert found == g.restarts > 0

    @pytest.mark.skipif(sys.gettrace() is not None, reason="something traces this run")
    def test_calls_of_c_code_are_sought(self, alone):
        """The search for a safe point ends in the function, and the restart is raised there."""
        data = list(range(3000))

        @preemptio.restartable
        def read():
            extra = current_g().extra()
            for _ in range(limit()):
                if extra.restarts:
                    break
                json.dumps(data)
            else:
                raise AssertionError("never interrupted")
            found = extra.restarts
            return found

        assert alone(read)[0]

    def test_in_a_loop_of_another_thread(self, base):
        """Where no signals come."""

        @preemptio.restartable
        def read():
            extra = current_g().extra()
            for _ in range(limit()):
                if extra.restarts:
                    break
                preemptio.checkpoint()
            else:
                raise AssertionError("never interrupted")
            found = extra.restarts
            return found

        async def main():
            return await preemptio.go(read)

        found = []
        make = functools.partial(preemptio.new_event_loop, base)
        thread = threading.Thread(target=lambda: found.append(preemptio.run(main(), loop_factory=make)))
        thread.start()
        thread.join()
        assert found[0]

    def test_a_long_one_ends_masked(self, alone):
        """It is never finished within its slice, and yet it ends."""

        @preemptio.restartable
        def read():
            extra = current_g().extra()
            for _ in range(limit()):
                if current_g().locks:
                    break
            else:
                raise AssertionError("never masked")
            found = extra.restarts
            return found

        assert alone(read)[0] == RESTARTS

    @exact
    def test_its_last_statement_is_refused(self, alone):
        """With a verdict of its own."""

        @preemptio.restartable
        def read():
            refusals, verdict = current_g().refusals, Verdict.RESTART
            for _ in range(limit()):
                if verdict in refusals:
                    break
            else:
                raise AssertionError("never refused")

        _, g = alone(read)
        assert g.refusals.get(Verdict.RESTART)
        assert g.restarts == 0

    @pytest.mark.skipif(sys.platform != "linux", reason="nothing is set aside elsewhere")
    @pytest.mark.uninjected("that only a blocking call lets others run")
    def test_a_blocking_call_is_not_set_aside(self, alone):
        """Others would run; the loop waits, as it would without preemptio. Without the decorator it is."""

        def read():
            slices = current_g().slices
            time.sleep(0.02)
            same = current_g().slices == slices
            return same

        assert not all(alone(read)[0] for _ in range(50))  # on a busy machine not each time
        assert alone(preemptio.restartable(read))[0]


class TestRefused:
    """What would stop the restart is refused when the function is decorated, with what to write."""

    def test_what_is_no_plain_function(self):
        """async, generators, other callables, and functions that are decorated already."""

        async def coroutine():
            pass

        async def async_generator():
            yield

        def generator():
            yield

        @preemptio.nopreempt("test")
        def wrapped():
            pass

        for fn in (coroutine, async_generator, generator):
            with pytest.raises(TypeError, match=r"plain function.*def read\(\)"):
                preemptio.restartable(fn)
        for fn in (len, wrapped, staticmethod(generator), TestRefused):
            with pytest.raises(TypeError, match="closest to the `def`"):
                preemptio.restartable(fn)

    def test_what_catches_everything(self):
        """By name, in a tuple, or by no name at all."""

        def bare():
            try:
                give_way()
            except:  # noqa: E722
                pass

        def by_name():
            for _ in range(2):
                try:
                    give_way()
                except BaseException:
                    give_way()

        def in_a_tuple():
            if give_way():
                try:
                    give_way()
                except (KeyError, BaseException) as exc:
                    print(exc)

        def in_a_group():
            try:
                give_way()
            except* BaseException as group:
                print(group)

        def suppressed():
            with contextlib.suppress(BaseException):
                give_way()

        for fn in (bare, by_name, in_a_tuple, in_a_group, suppressed):
            with pytest.raises(ValueError, match=r"Exception.*nopreempt"):
                preemptio.restartable(fn)

    def test_what_leaves_a_finally(self):
        """return, and break and continue of a loop around."""

        def by_return():
            try:
                give_way()
            finally:
                if preemptio:
                    return 1  # noqa: B012

        def by_break():
            while True:
                try:
                    give_way()
                finally:
                    break  # noqa: B012

        def by_continue():
            for _ in range(2):
                try:
                    give_way()
                finally:
                    while preemptio:
                        break
                    else:
                        continue

        for fn, word in ((by_return, "return"), (by_break, "break"), (by_continue, "continue")):
            with pytest.raises(ValueError, match=f"`{word}` in `finally`.*behind"):
                preemptio.restartable(fn)

    def test_what_is_none_of_its_business(self):
        """Handlers of named exceptions; and what inner functions do, or loops of a `finally`'s own."""

        def fine():
            def inner():
                try:
                    return 1
                except BaseException:
                    return 2

            try:
                found = inner()
            except (KeyError, ValueError):
                found = 3
            finally:
                for _ in range(2):
                    break
            return found

        assert preemptio.restartable(fine)() == 1


class TestHeldOffsets:
    """Which places of a function are those of its last statement, or of a `try` or `with`."""

    def test_by_lines(self):
        """Every safe instruction of the marked lines, and no other; a jump back belongs to its loop."""

        def fn(xs, found, n):
            for x in xs:
                found.append(x)
            while n:
                n -= 1
            for x in xs:
                try:
                    found.append(x)
                except KeyError:
                    pass
            try:
                for x in xs:  # held
                    found.append(x)  # held
            except KeyError:
                for x in xs:  # either: the way out of a handler is a jump back, too
                    found.append(x)  # either
            pairs = [(x, y) for x in xs for y in xs]; sums = [  # noqa: E702
                x + y for x, y in pairs
            ]  # fmt: skip
            if pairs:
                for x in sums:  # held
                    found.append(x)  # held
            else:
                while n:  # held
                    n -= 1  # held

        def places(offsets):
            lines = [(start, end, line) for start, end, line in code.co_lines()]
            return {line - code.co_firstlineno for at in offsets for start, end, line in lines if start <= at < end}

        code = fn.__code__
        held = held_offsets(fn)
        safe = {at for at in range(0, len(code.co_code), 2) if at_safe_opcode(code, at)}
        assert safe - held
        source = inspect.getsource(fn).splitlines()
        must, may = ({n for n, line in enumerate(source) if mark in line} for mark in ("# held", "# either"))
        assert places(safe & held) <= must | may
        assert not places(safe - held) & must
        assert {n for n, line in enumerate(source) if "found.append(x)  # held" in line} <= places(safe & held)

    def test_two_statements_on_a_line(self):
        """The columns tell them apart."""

        def fn(xs):
            a = list(xs); return sorted(a)  # fmt: skip  # noqa: E702

        held, code = held_offsets(fn), fn.__code__
        assert held
        assert min(held) > 4
        assert any(at not in held for at in range(4, len(code.co_code), 2))
