"""preemptio.blocking: a blocking call in a worker thread, and its G in SYSCALL."""

import asyncio
import gc
import sys
import threading
import weakref
from collections import deque
from contextvars import ContextVar

import pytest

import preemptio
from preemptio._aio import _workers
from preemptio._core._g import new_g
from preemptio._core._gstatus import RUNNING, SYSCALL, cas_gstatus
from preemptio._core._step import ready
from preemptio.lowlevel import Gstatus, WaitReason, all_gs, current_g

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]

VAR = ContextVar("VAR", default="outside")


class Call:
    """A function that blocks until it is released, and says when it has begun and in which threads it ran."""

    def __init__(self, result=None):
        self.begun, self.released, self.returned = threading.Event(), threading.Event(), threading.Event()
        self.result = result
        self.threads = []

    def __call__(self, *_args):
        self.threads.append(threading.current_thread())
        self.begun.set()
        assert self.released.wait(20)
        self.returned.set()
        return self.result

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.released.set()


async def until(condition):
    """Let the loop go round until something is so; fail instead of hanging."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


async def in_a_coroutine(call):
    return await preemptio.blocking(call)


def in_a_function(call):
    return preemptio.wait(preemptio.blocking(call))


async def deep_in_a_coroutine(call):
    async with asyncio.timeout(20):
        return await asyncio.wait_for(in_a_coroutine(call), None)


STARTS = {
    "coroutine": lambda call: asyncio.create_task(in_a_coroutine(call)),
    "go": lambda call: preemptio.go(preemptio.blocking, call),
    "deep": lambda call: preemptio.go(deep_in_a_coroutine, call),
    "function": lambda call: preemptio.go(in_a_function, call),
    "function of a coroutine": lambda call: preemptio.go(preemptio.wait, preemptio.blocking(call)),
}
if sys.version_info >= (3, 12):
    STARTS["eager"] = lambda call: asyncio.eager_task_factory(asyncio.get_running_loop(), in_a_coroutine(call))

starts = pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)


async def test_the_value():
    """It calls the function with its arguments, in another thread, and returns what it returns."""
    assert await preemptio.blocking(sorted, [1, 3, 2], reverse=True) == [3, 2, 1]
    assert await preemptio.blocking(threading.get_ident) != threading.get_ident()
    assert await preemptio.blocking(dict, fn=1) == {"fn": 1}


@starts
async def test_the_states_of_its_g(start):
    """While the function runs, its G is in SYSCALL and says why; others run meanwhile, and after it the G goes on."""
    with Call("result") as call:
        task = start(call)
        await until(call.begun.is_set)
        await until(lambda: task.g.status is SYSCALL)
        assert task.g.wait_reason is WaitReason.BLOCKING
        assert "[syscall: preemptio.blocking]" in task.g.dump()
        assert task.g in all_gs()
        for _ in range(20):
            await asyncio.sleep(0)
            assert task.g.status is SYSCALL
    assert await task == "result"
    assert task.g.status is Gstatus.DEAD


async def test_the_wake_up_moves_it():
    """SYSCALL until the future is set, RUNNABLE at once then, RUNNING when its step runs."""
    seen = []

    async def calls():
        seen.append(current_g().status)
        await preemptio.blocking(call)
        seen.append(current_g().status)

    with Call() as call:
        task = asyncio.create_task(calls())
        await until(lambda: task.g.status is SYSCALL)
        task._fut_waiter.set_result(None)
        seen.append(task.g.status)
    await task
    assert seen == [RUNNING, Gstatus.RUNNABLE, RUNNING]


async def test_two_steps_of_one_g_are_still_an_error():
    """A G that the tick set aside in SYSCALL stands in the middle of its step: no other one can be made ready."""
    g = new_g(lambda: None, None, -1)
    for status in (Gstatus.RUNNABLE, RUNNING, SYSCALL):
        cas_gstatus(g, g.status, status)
    g.extra().parked = object()
    with pytest.raises(preemptio.InternalError):
        ready(g)
    g.extra().parked = None
    ready(g)
    assert g.status is Gstatus.RUNNABLE


async def test_another_future_is_waiting():
    """Awaiting something else right after a call, or in a driver of its own that saw the call's future, is WAITING."""
    event = asyncio.Event()

    class Driven:
        def __await__(self):
            steps = preemptio.blocking(call).__await__()
            future = next(steps)  # the call's: it is not what this task waits for
            future.add_done_callback(lambda _: None)
            try:
                yield from event.wait().__await__()
            finally:
                steps.close()

    async def calls():
        await preemptio.blocking(int)
        await Driven()

    with Call() as call:
        task = asyncio.create_task(calls())
        await until(call.begun.is_set)
        await asyncio.sleep(0)
        assert (task.g.status, task.g.wait_reason) == (Gstatus.WAITING, WaitReason.AWAIT)
        event.set()
        await task


async def test_the_context():
    """The function sees the caller's context variables, and what it sets is its own."""

    def in_the_thread():
        before = VAR.get()
        VAR.set("thread")
        return before, VAR.get()

    VAR.set("task")
    assert await preemptio.blocking(in_the_thread) == ("task", "thread")
    assert VAR.get() == "task"


class TestErrors:
    """What the function raises, and what blocking() refuses."""

    async def test_an_exception(self):
        """It is raised where the call is awaited, with a traceback that ends in the function."""

        def fails():
            raise KeyError("boom")

        with pytest.raises(KeyError) as caught:
            await preemptio.blocking(fails)
        assert [entry.name for entry in caught.traceback] == [
            "test_an_exception",
            "blocking",
            "fails",
        ]

    async def test_the_exception_keeps_nothing_alive(self):
        """It goes with its last reference: no cycle is left to the collector."""

        class BoomError(Exception):
            pass

        def fails():
            raise BoomError

        async def calls():
            try:
                await preemptio.blocking(fails)
            except BoomError as exc:
                return weakref.ref(exc)

        gc.disable()
        try:
            ref = await calls()
            await preemptio.blocking(int)  # the worker has let go of the last job
            assert ref() is None
        finally:
            gc.enable()

    async def test_stop_iteration(self):
        """A coroutine cannot raise it: RuntimeError, as if it had been called in the coroutine."""
        with pytest.raises(RuntimeError) as caught:
            await preemptio.blocking(next, iter(()))
        assert isinstance(caught.value.__cause__, StopIteration)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await preemptio.go(in_a_function, iter(()).__next__)

    @pytest.mark.parametrize("error", [GeneratorExit, type("Mine", (BaseException,), {})])
    async def test_a_base_exception(self, error):
        """It is the caller's, and does not end the thread."""

        def fails():
            raise error

        with pytest.raises(error):
            await preemptio.blocking(fails)
        assert await preemptio.blocking(int) == 0

    async def test_cancelled_in_the_thread(self):
        """A CancelledError of the function's own cancels the task that called it, as if raised in it."""

        def fails():
            raise asyncio.CancelledError

        task = asyncio.create_task(in_a_coroutine(fails))
        await asyncio.wait([task])
        assert task.cancelled()

    async def test_what_is_not_a_function(self):
        """A value, a coroutine and a coroutine function are refused with what to type."""
        with pytest.raises(TypeError, match=r"await preemptio\.blocking"):
            await preemptio.blocking(None)
        with pytest.raises(TypeError, match=r"await preemptio\.blocking"):
            await preemptio.blocking(in_a_coroutine(int))
        with pytest.raises(TypeError, match=r"in_a_coroutine: await .*in_a_coroutine\(\.\.\.\)"):
            await preemptio.blocking(in_a_coroutine, int)

    async def test_outside_of_a_task(self):
        """A callback can neither await nor wait: the error says so, and the function is not called."""
        called, caught = [], []

        def callback():
            try:
                preemptio.wait(preemptio.blocking(called.append, 1))
            except preemptio.NotAGError as exc:
                caught.append(exc)

        asyncio.get_running_loop().call_soon(callback)
        await until(lambda: caught)
        assert called == []

    async def test_no_thread_to_be_had(self, monkeypatch):
        """The error is the caller's, of a queued call too, and the next call is made."""

        def refuses(_thread):
            raise RuntimeError("can't start new thread")

        loop = asyncio.get_running_loop()
        loop._workers = _workers.Workers(loop.post, 1)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuses)
            with pytest.raises(RuntimeError, match="can't start"):
                await preemptio.blocking(int)
        with Call() as call:
            first = asyncio.create_task(in_a_coroutine(call))
            await until(call.begun.is_set)
            second = asyncio.create_task(in_a_coroutine(int))
            await until(lambda: loop._workers.queued)
            monkeypatch.setattr(threading.Thread, "start", refuses)
            monkeypatch.setattr(loop._workers, "_idle", deque(maxlen=0))
        await first
        with pytest.raises(RuntimeError, match="can't start"):
            await second
        monkeypatch.undo()
        assert await preemptio.blocking(int) == 0


class TestCancellation:
    """A thread cannot be cancelled; its caller can."""

    @starts
    async def test_while_it_runs(self, start):
        """The caller is told at once, the function runs to its end, and its result is dropped in silence."""
        said = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(context))
        with Call() as call:
            task = start(call)
            await until(call.begun.is_set)
            await until(lambda: task.g.status is SYSCALL)
            task.cancel("why")
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not call.returned.is_set()
        assert await preemptio.blocking(call.returned.wait, 20)
        await until(lambda: not asyncio.get_running_loop()._workers.running)
        assert said == []

    async def test_an_error_that_nobody_waits_for(self):
        """It is dropped as well: whoever cancelled has given the call up."""
        said = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(context))

        def fails():
            call()
            raise KeyError

        with Call() as call:
            task = asyncio.create_task(in_a_coroutine(fails))
            await until(call.begun.is_set)
            task.cancel()
            await asyncio.wait([task])
        await until(lambda: not asyncio.get_running_loop()._workers.running)
        gc.collect()
        assert said == []

    async def test_before_it_runs(self, make_limited):
        """A call that has no thread yet is never made, and leaves nothing behind."""
        workers = make_limited(1)
        called = []
        with Call() as call:
            first = asyncio.create_task(in_a_coroutine(call))
            await until(call.begun.is_set)
            queued = asyncio.create_task(preemptio.blocking(called.append, 1))
            await until(lambda: workers.queued)
            queued.cancel()
            await asyncio.wait([queued])
            assert not workers.queued
        await first
        await preemptio.blocking(int)
        assert called == []

    async def test_in_the_turn_in_which_it_ends(self):
        """A cancellation that comes after the end and before the caller's step is not lost."""
        with Call() as call:
            task = asyncio.create_task(in_a_coroutine(call))
            await until(lambda: task.g.status is SYSCALL)
            task._fut_waiter.set_result(None)
            assert task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    async def test_before_its_first_step(self):
        """A task that was cancelled before it began calls nothing."""
        called = []
        task = asyncio.create_task(preemptio.blocking(called.append, 1))
        task.cancel()
        await asyncio.wait([task])
        assert called == []

    async def test_in_its_own_step(self):
        """A task that cancelled itself gets it at the await of the call, and is not left in SYSCALL."""

        def cancels_itself():
            asyncio.current_task().cancel()

        async def calls():
            cancels_itself()
            await preemptio.blocking(int)

        task = asyncio.create_task(calls())
        await asyncio.wait([task])
        assert task.cancelled()
        assert task.g.status is Gstatus.DEAD

    @pytest.mark.parametrize("timeout", [asyncio.timeout, preemptio.timeout])
    @pytest.mark.parametrize("calls", [in_a_coroutine, in_a_function])
    async def test_timeout(self, timeout, calls):
        """A deadline ends the wait for the call, in a coroutine and in a plain function."""

        async def limited():
            async with timeout(0.01):
                await (in_a_coroutine(call) if calls is in_a_coroutine else now(in_a_function, call))

        async def now(function, *args):
            return function(*args)

        with Call() as call, pytest.raises(TimeoutError):
            await limited()

    async def test_at_a_safe_point(self):
        """A task that may be cancelled wherever it stands is cancelled in its call, and counts once."""
        seen = []

        def calls():
            try:
                in_a_function(call)
            finally:
                seen.append(asyncio.current_task().cancelling())

        with Call() as call:
            task = preemptio.go(calls, cancel="safepoint")
            await until(lambda: task.g.status is SYSCALL)
            task.cancel()
            await asyncio.wait([task])
        assert task.cancelled()
        assert seen == [1]

    async def test_cancelled_and_going_on(self):
        """Who catches the cancellation may make the next call; the end of the first does not wake it."""

        def calls():
            try:
                in_a_function(first)
            except asyncio.CancelledError:
                return in_a_function(second)

        with Call("first") as first, Call("second") as second:
            task = preemptio.go(calls)
            await until(first.begun.is_set)
            await until(lambda: task.g.status is SYSCALL)
            task.cancel()
            await until(second.begun.is_set)
            first.released.set()
            await preemptio.blocking(first.returned.wait, 20)
            await until(lambda: len(asyncio.get_running_loop()._workers.running) == 1)
            assert task.g.status is SYSCALL
            second.released.set()
            assert await task == "second"


@pytest.fixture
def make_limited():
    """A function that gives the running loop so many threads."""

    def make(limit):
        loop = asyncio.get_running_loop()
        loop._workers = _workers.Workers(loop.post, limit)
        return loop._workers

    return make


class TestWorkers:
    """How many threads there are."""

    async def test_as_many_as_the_knob_says(self, make_limited):
        """No more calls run at a time; the others get their turn in order."""
        workers, order = make_limited(2), []

        def one(n):
            order.append(n)
            return n

        with Call() as first, Call() as second:
            full = [asyncio.create_task(in_a_coroutine(call)) for call in (first, second)]
            await until(second.begun.is_set)
            rest = [asyncio.create_task(preemptio.blocking(one, n)) for n in range(5)]
            await until(lambda: len(workers.queued) == 5)
            assert all(task.g.status is SYSCALL for task in rest)
            assert order == []
            first.released.set()
            assert await asyncio.gather(*rest) == list(range(5)) == order
        await asyncio.gather(*full)

    async def test_the_knob(self):
        """A loop reads it when it is made."""
        assert asyncio.get_running_loop()._workers._limit == preemptio.config.threads == 40

    async def test_they_are_used_again(self):
        """One call after the other is made by one thread."""
        assert len({await preemptio.blocking(threading.get_ident) for _ in range(10)}) == 1

    async def test_an_idle_one_ends(self, monkeypatch, make_limited):
        """A worker that has had nothing to do for a while is no more, and the next call makes another."""
        make_limited(2)
        monkeypatch.setattr(_workers, "IDLE", 0.001)
        thread = await preemptio.blocking(threading.current_thread)
        await asyncio.to_thread(thread.join, 20)
        assert not thread.is_alive()
        assert await preemptio.blocking(threading.current_thread) is not thread

    async def test_none_is_lost_when_it_ends(self, monkeypatch, make_limited):
        """A job that comes in the instant in which its worker would end is done."""
        make_limited(3)
        monkeypatch.setattr(_workers, "IDLE", 0.000_05)
        for n in range(200):
            assert await asyncio.gather(*[preemptio.blocking(int, n) for _ in range(3)]) == [n] * 3

    async def test_they_are_daemons(self):
        """The interpreter does not wait for them."""
        assert (await preemptio.blocking(threading.current_thread)).daemon

    async def test_a_task_that_is_not_kept(self):
        """A task that only waits for its call is kept alive by it."""
        done = []

        async def calls():
            await preemptio.blocking(call)
            done.append(True)

        with Call() as call:
            ref = weakref.ref(asyncio.create_task(calls()))
            await until(call.begun.is_set)
            gc.collect()
            assert ref() is not None
        await until(lambda: done)
