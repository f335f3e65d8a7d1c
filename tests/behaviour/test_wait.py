"""preemptio.wait: an await written in a plain function."""

import asyncio
import gc
import inspect
from contextvars import ContextVar

import pytest

import preemptio
from preemptio.lowlevel import Gstatus, current_g
from tests.behaviour._support import Flag, parked, spin

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]

VAR = ContextVar("VAR", default="outside")


async def after_a_turn(value):
    await asyncio.sleep(0)
    return value


async def test_the_value():
    """wait() returns what `await` would: of a coroutine, a task, a future and any object with __await__."""

    class Custom:
        def __await__(self):
            return after_a_turn("custom").__await__()

    def plain():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_soon(future.set_result, "future")
        return [
            preemptio.wait(after_a_turn("coroutine")),
            preemptio.wait(loop.create_task(after_a_turn("task"))),
            preemptio.wait(future),
            preemptio.wait(Custom()),
        ]

    assert await preemptio.go(plain) == ["coroutine", "task", "future", "custom"]


async def test_others_run_meanwhile():
    """While a function waits only its own task stands still."""
    event, seen = asyncio.Event(), []

    def plain():
        seen.append("waits")
        preemptio.wait(event.wait())
        seen.append("goes on")

    task = preemptio.go(plain)
    while not seen:
        await asyncio.sleep(0)
    assert task.g.parked
    seen.append("other")
    event.set()
    await task
    assert seen == ["waits", "other", "goes on"]


async def test_from_a_function_that_a_coroutine_calls():
    """wait() works below an `async def` that was started in the ordinary way, this test included."""

    def plain():
        return preemptio.wait(after_a_turn(1))

    assert plain() == 1
    assert await asyncio.create_task(after_a_turn(plain())) == 1


async def test_the_exception():
    """wait() raises what `await` would, and the awaitable's own `finally` has run."""
    seen = []

    async def fails():
        try:
            await asyncio.sleep(0)
            raise KeyError("boom")
        finally:
            seen.append("finally")

    def plain():
        try:
            preemptio.wait(fails())
        except KeyError as exc:
            return exc.args

    assert await preemptio.go(plain) == ("boom",)
    assert seen == ["finally"]


async def test_a_done_future():
    """A future that is done is answered at once; one that failed raises."""
    loop = asyncio.get_running_loop()
    done, failed, cancelled = loop.create_future(), loop.create_future(), loop.create_future()
    done.set_result(7)
    failed.set_exception(KeyError("x"))
    cancelled.cancel()
    assert preemptio.wait(done) == 7
    with pytest.raises(KeyError):
        preemptio.wait(failed)
    with pytest.raises(asyncio.CancelledError):
        preemptio.wait(cancelled)


async def test_cancellation():
    """cancel() of a task that stands in wait() is raised there, inside what it waits for first."""
    seen = []

    async def waits():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("awaitable")
            raise

    def plain():
        try:
            preemptio.wait(waits())
        except asyncio.CancelledError:
            seen.append(asyncio.current_task().cancelling())
            raise

    task = preemptio.go(plain)
    await parked(task)
    assert task.cancel("why")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["awaitable", 1]
    assert task.cancelled()


async def test_cancellation_of_the_task_waited_for():
    """Cancelling a task that waits for another cancels the other, as `await other` does."""
    other = asyncio.create_task(asyncio.Event().wait())
    task = preemptio.go(preemptio.wait, other)
    await parked(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert other.cancelled()


async def test_cancellation_may_be_taken_back():
    """A function that catches the cancellation of its wait() and takes it back goes on."""

    def plain():
        try:
            preemptio.wait(asyncio.Event().wait())
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()
        return preemptio.wait(after_a_turn("went on"))

    task = preemptio.go(plain)
    while task.g.status is not Gstatus.WAITING:
        await asyncio.sleep(0)
    task.cancel()
    assert await task == "went on"
    assert task.cancelling() == 0


async def test_cancelled_when_the_result_was_there_already():
    """A cancellation between the end of what is waited for and the next turn of the waiter is raised, as in asyncio."""
    future = asyncio.get_running_loop().create_future()

    async def model():
        await future

    waiter, model = preemptio.go(preemptio.wait, future), asyncio.create_task(model())
    await parked(waiter)
    future.set_result(None)
    waiter.cancel()
    model.cancel()
    await asyncio.wait([waiter, model])
    assert (waiter.cancelled(), model.cancelled()) == (True, True)


async def test_a_timeout_inside():
    """asyncio.timeout in what is waited for ends it with TimeoutError and leaves no cancellation behind."""

    async def limited():
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()

    def plain():
        with pytest.raises(TimeoutError):
            preemptio.wait(limited())
        assert asyncio.current_task().cancelling() == 0
        return preemptio.wait(after_a_turn("went on"))

    assert await preemptio.go(plain) == "went on"


async def test_one_context_and_one_task():
    """What is waited for runs in the same context and as the same task: a variable set inside is seen after."""
    tasks = []

    async def inner():
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())
        VAR.set("inside")

    def plain():
        tasks.append(asyncio.current_task())
        preemptio.wait(inner())
        tasks.append(asyncio.current_task())
        return VAR.get()

    task = preemptio.go(plain)
    assert await task == "inside"
    assert tasks == [task] * 4
    assert VAR.get() == "outside"


async def test_nested():
    """A coroutine that is waited for may call a function that waits."""

    def inner(depth):
        return preemptio.wait(outer(depth - 1)) if depth else preemptio.wait(after_a_turn("bottom"))

    async def outer(depth):
        await asyncio.sleep(0)
        return inner(depth)

    assert await preemptio.go(inner, 10) == "bottom"


@pytest.mark.uninjected("the order of turns")
async def test_a_bare_yield():
    """sleep(0) in a wait() gives every ready task one turn."""
    seen = []

    def counts(name):
        for n in range(3):
            seen.append((n, name))
            preemptio.wait(asyncio.sleep(0))

    await asyncio.gather(preemptio.go(counts, "a"), preemptio.go(counts, "b"))
    assert seen == [(n, name) for n in range(3) for name in "ab"]


async def test_preempted_inside():
    """What is waited for is preempted like any code of the task."""
    flag = Flag()

    async def computes():
        await asyncio.sleep(0)
        return spin(flag)

    task = preemptio.go(preemptio.wait, computes())
    while not task.g.preemptions:
        await asyncio.sleep(0)
    flag.stop = True
    assert await task >= 0


async def test_locks_and_queues():
    """asyncio's own synchronisation works through wait(): nobody is lost and nobody gets in twice."""
    lock, queue, inside = asyncio.Lock(), asyncio.Queue(1), 0

    def produce():
        for n in range(20):
            preemptio.wait(queue.put(n))

    def consume():
        nonlocal inside
        got = []
        for _ in range(10):
            preemptio.wait(lock.acquire())
            inside += 1
            assert inside == 1
            got.append(preemptio.wait(queue.get()))
            inside -= 1
            lock.release()
        return got

    _, one, two = await asyncio.gather(preemptio.go(produce), preemptio.go(consume), preemptio.go(consume))
    assert sorted(one + two) == list(range(20))


async def test_a_future_of_another_loop():
    """A future that belongs to another loop is refused, as `await` refuses it."""
    foreign = asyncio.new_event_loop()
    try:
        with pytest.raises(RuntimeError, match="different loop"):
            preemptio.wait(foreign.create_future())
    finally:
        foreign.close()
    await asyncio.sleep(0)


async def test_a_wrong_yield():
    """An awaitable that yields something else than a future gets RuntimeError, as from a task."""

    class Wrong:
        def __await__(self):
            yield 42

    with pytest.raises(RuntimeError, match="42"):
        preemptio.wait(Wrong())


async def test_what_cannot_be_awaited():
    """wait() of a plain object is a TypeError."""
    with pytest.raises(TypeError, match="awaitable"):
        preemptio.wait(42)


async def test_outside_a_task():
    """In a callback of the loop wait() raises NotAGError and closes the coroutine: nobody is told it never ran."""
    coro, caught = after_a_turn(1), asyncio.get_running_loop().create_future()

    def callback():
        try:
            preemptio.wait(coro)
        except BaseException as exc:
            caught.set_result(exc)

    asyncio.get_running_loop().call_soon(callback)
    assert type(await caught) is preemptio.NotAGError
    assert inspect.getcoroutinestate(coro) == inspect.CORO_CLOSED
    gc.collect()  # a RuntimeWarning here would be an error


async def test_in_another_thread():
    """In a worker thread wait() raises NotAGError: the loop runs elsewhere."""
    coro = after_a_turn(1)
    with pytest.raises(preemptio.NotAGError):
        await asyncio.to_thread(preemptio.wait, coro)
    assert inspect.getcoroutinestate(coro) == inspect.CORO_CLOSED
    assert current_g() is asyncio.current_task().g
