"""roots_of: whatever only a task keeps alive is found, and reading it keeps nothing alive."""

import asyncio
import gc
import importlib.util
import signal
import sys
import threading
import weakref

import pytest

import preemptio
from preemptio import lowlevel
from preemptio._aio._roots import shared_roots
from preemptio._core._task_context import context_of
from preemptio._preempt import _iframe
from preemptio._scan._roots import process_roots, roots_of
from tests.scan import places
from tests.scan.places import Thing

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]

OPTIONAL = {places.with_greenback: "greenback", places.with_sqlalchemy: "sqlalchemy"}
COROUTINES = [
    each for each in places.COROUTINES if each not in OPTIONAL or importlib.util.find_spec(OPTIONAL[each]) is not None
]


class Made:
    """Makes one thing, and knows whether it lives."""

    def __init__(self):
        self._thing = None

    def __call__(self):
        thing = Thing()
        self._thing = weakref.ref(thing)
        return thing

    @property
    def thing(self):
        return self._thing and self._thing()

    def gone(self):
        """Report whether it does not live any more."""
        gc.collect()
        return self.thing is None

    def found(self, roots, depth=7):
        """Report whether the roots lead to it, in a few references, and not by way of a module or a class."""
        looked, level = set(), [root.obj for root in roots]
        for _ in range(depth):
            level = [each for each in level if id(each) not in looked and not self._shared(each)]
            if any(each is self._thing() for each in level):
                return True
            looked.update(map(id, level))
            level = gc.get_referents(*level)
        return False

    def _shared(self, thing):
        if type(thing) is dict:
            return "__builtins__" in thing
        return isinstance(thing, (type, type(sys), asyncio.AbstractEventLoop))


class Future(asyncio.Future):
    """One with an attribute."""

    set = None


async def standing(task):
    while not task.g.parked:
        assert not task.done(), task
        await asyncio.sleep(0)


async def waiting(task, made):
    while made.thing is None or task.g.status is not lowlevel.Gstatus.WAITING:
        assert not task.done(), task
        await asyncio.sleep(0)


def waits():
    """A stop in preemptio.wait, and what ends it."""
    future = asyncio.get_running_loop().create_future()
    return lambda: preemptio.wait(future), lambda: future.set_result(None)


def spins():
    """A stop by the tick."""
    over = []

    def spin():
        for _ in range(50_000_000):
            if over:
                break

    return spin, lambda: over.append(1)


def charges():
    """A stop at a checkpoint."""
    over = []

    def charge():
        while not over:
            preemptio.charge(1000)

    return charge, lambda: over.append(1)


@pytest.mark.parametrize("stopped", [waits, spins, charges])
@pytest.mark.parametrize("place", places.PLAIN, ids=lambda place: place.__name__)
async def test_places_in_plain_functions(place, stopped):
    """In mid-step, stopped by the tick, at a checkpoint and in wait()."""
    made = Made()
    stop, end = stopped()
    task = preemptio.go(place, made, stop)
    while made.thing is None or not task.g.parked:
        assert not task.done()
        await asyncio.sleep(0)
    try:
        async with preemptio.suspended(task):
            assert made.found(roots_of(task.g))
    finally:
        end()
    await task
    del task
    await asyncio.sleep(0)  # what wakes us still refers to its context
    assert made.gone()


@pytest.mark.parametrize("place", COROUTINES, ids=lambda place: place.__name__)
async def test_places_in_coroutines(place):
    """At an await, in the task's own chain."""
    made = Made()
    loop = asyncio.get_running_loop()
    futures = []

    def future():
        one = Future(loop=loop)
        futures.append(weakref.ref(one))
        return one

    task = preemptio.go(place, made, future)
    await waiting(task, made)
    async with preemptio.suspended(task):
        assert made.found(roots_of(task.g))
    futures[0]().set_result(None)
    await task
    del task
    await asyncio.sleep(0)  # what wakes us still refers to its context
    assert made.gone()


@pytest.mark.parametrize("place", COROUTINES, ids=lambda place: place.__name__)
async def test_places_in_coroutines_that_wait_drives(place):
    """The same in a coroutine that a plain function waits for."""
    if place in OPTIONAL:
        pytest.skip("a greenlet of the library's makes its own way")
    made = Made()
    loop = asyncio.get_running_loop()
    futures = []

    def future():
        one = Future(loop=loop)
        futures.append(weakref.ref(one))
        return one

    task = preemptio.go(lambda: preemptio.wait(place(made, future)))
    await waiting(task, made)
    async with preemptio.suspended(task):
        assert made.found(roots_of(task.g))
    futures[0]().set_result(None)
    await task
    del task
    await asyncio.sleep(0)  # what wakes us still refers to its context
    assert made.gone()


async def test_roots_have_names():
    """A variable and where its frame stands."""
    future = asyncio.get_running_loop().create_future()

    async def named():
        treasure = Thing()
        places.VARIABLE.set(treasure)
        await future

    task = preemptio.go(named)
    await asyncio.sleep(0)
    async with preemptio.suspended(task):
        roots = roots_of(task.g)
        names = [root.name for root in roots if type(root.obj) is Thing]
        line = named.__code__.co_firstlineno + 3
        assert names == [f"treasure ({__file__}:{line} in {named.__qualname__})", "context variable VARIABLE"]
        assert [root.name for root in roots if root.obj is future] == [
            f"future ({__file__}:{line} in {named.__qualname__})",
            "awaits",
        ]
        assert all(root.precise for root in roots)
        del roots
    future.set_result(None)
    await task


async def test_what_a_task_was_told():
    """Its callbacks, an exception that waits to be raised, the result that wakes it, and what it has ended with."""

    async def returns(thing):
        await asyncio.sleep(0)
        return thing

    def callback(_task):
        pass

    thing = Thing()
    task = preemptio.go(returns, thing)
    task.add_done_callback(callback)
    async with preemptio.suspended(task):
        assert [root.name for root in roots_of(task.g) if root.obj is callback] == ["done callback"]
    await task
    assert [root.name for root in roots_of(task.g) if root.obj is thing] == ["result"]

    stop, end = spins()
    task = preemptio.go(stop, cancel="safepoint")
    await standing(task)
    async with preemptio.suspended(task):
        task.cancel("why")
        (error,) = [root.obj for root in roots_of(task.g) if root.name == "to be raised"]
        assert error.args == ("why",)
        del error
    with pytest.raises(asyncio.CancelledError):
        await task
    end()


async def test_a_frame_called_by_c_code_is_conservative():
    """What sorted() holds nobody sees; what is known is told all the same."""
    made = Made()
    stop, end = spins()
    task = preemptio.go(places.a_callback_of_c_code, made, stop)
    await standing(task)
    async with preemptio.suspended(task):
        found = {root.precise for root in roots_of(task.g) if root.name.endswith(" in a_callback_of_c_code)")}
        assert found == {False}
        (own,) = [root for root in roots_of(task.g) if root.obj is made.thing]
        assert own.precise
        del own
    end()
    await task
    del task
    await asyncio.sleep(0)  # what wakes us still refers to its context
    assert made.gone()


async def test_the_runtime_is_no_root():
    """Frames of ours refer to the processor, which leads to everything."""
    stop, end = waits()
    task = preemptio.go(lambda: preemptio.wait(asyncio.sleep(0)) or stop())
    await standing(task)
    processor = asyncio.get_running_loop()._p
    async with preemptio.suspended(task):
        kinds = {type(root.obj) for root in roots_of(task.g)}
        assert not kinds & {type(processor), type(task.g), type(task.g.extra().parked.carrier)}
        assert not any(root.obj is asyncio.get_running_loop() for root in roots_of(task.g))
    end()
    await task


async def test_ones_own():
    """A task may ask for its own: it runs, but not while it asks."""
    made = Made()
    held = made()
    here = lowlevel.current_g()
    assert [root.obj for root in roots_of(here) if root.name.startswith("held (")] == [held]
    del held
    assert made.thing is None


async def test_the_context_of_a_task_is_not_taken_for_shared():
    """To ask a task for its context would tell the loop that somebody has it."""
    task = asyncio.create_task(asyncio.sleep(0))
    task.add_done_callback(print)
    task.remove_done_callback(print)
    before = dict(getattr(asyncio.get_running_loop(), "_shared", {}))
    context = context_of(task)
    assert dict(getattr(asyncio.get_running_loop(), "_shared", {})) == before
    assert context.run(asyncio.get_running_loop) is asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        assert task.get_context() is context
    await task


async def test_where_frames_cannot_be_read(monkeypatch):
    """What the garbage collector sees of suspended coroutines, and all of it conservative."""
    made = Made()
    future = asyncio.get_running_loop().create_future()
    task = preemptio.go(places.half_a_call_around_an_await, made, lambda: future)
    await waiting(task, made)
    async with preemptio.suspended(task):
        monkeypatch.setattr(_iframe, "AVAILABLE", False)
        roots = roots_of(task.g)
        assert made.found(roots)
        assert not any(root.precise for root in roots if "places.py" in root.name)
        del roots
        monkeypatch.undo()
    future.set_result(None)
    await task
    del task
    await asyncio.sleep(0)  # what wakes us still refers to its context
    assert made.gone()


class TestShared:
    """shared_roots: what belongs to everybody."""

    async def test_modules_and_handlers_of_signals(self):
        """By name."""

        def handler(*_):
            pass

        before = signal.signal(signal.SIGUSR1, handler)
        try:
            found = {root.name: root.obj for root in process_roots()}
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert found["module asyncio"] is asyncio
        assert found[f"handler of signal {int(signal.SIGUSR1)}"] is handler

    async def test_other_threads(self):
        """Their variables are found, and nothing stays behind in their frames."""
        made, ready, end = Made(), threading.Event(), threading.Event()

        def work():
            x = made()
            ready.set()
            end.wait()
            del x
            ready.clear()
            end.clear()
            ready.set()
            end.wait()

        thread = threading.Thread(target=work, name="worker")
        thread.start()
        ready.wait()
        (root,) = [root for root in shared_roots(asyncio.get_running_loop()) if root.obj is made.thing]
        assert root.name.startswith("x (")
        assert root.name.endswith("work) in thread worker")
        assert not root.precise
        del root
        ready.clear()
        end.set()
        ready.wait()
        assert made.thing is None
        end.set()
        thread.join()

    async def test_timers_ready_handles_and_descriptors(self):
        """What the loop will call."""
        loop = asyncio.get_running_loop()

        class Called:
            def __call__(self):
                pass

        timer, ready, registered = Called(), Called(), Called()
        handle = loop.call_later(3600, timer)
        loop.call_soon(ready)
        reading, writing = __import__("socket").socketpair()
        loop.add_reader(reading, registered)
        try:
            for thing in (timer, ready, registered):
                made = Made()
                made._thing = weakref.ref(thing)
                assert made.found([root for root in shared_roots(loop) if not root.name.startswith("module")])
        finally:
            loop.remove_reader(reading)
            handle.cancel()
            reading.close()
            writing.close()

    async def test_a_transport_counts(self):
        """The kernel may call it, whatever the program refers to."""
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(lambda _, other: other.close(), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        made = Made()
        made._thing = weakref.ref(writer.transport)
        assert made.found([root for root in shared_roots(loop) if not root.name.startswith("module")])
        writer.close()
        server.close()
        await writer.wait_closed()
        del reader
