"""Small programs that leak a task, each beside twins that do not.

A program is called with `go`, which starts tasks and notes what must be found: `go.leaks(coro)`, `go.lives(coro)`.
When it returns, its own variables are gone: what its tasks wait for is held by what it left behind only. All programs
are there at the same time, in one loop: that a leak is found is also a question of what else is alive.
"""

import asyncio
import contextvars
import ctypes
import itertools
import signal
import socket
import sys
import threading
import weakref

import preemptio

PROGRAMS = {}
HELD = {}  # what is held in a global
WEAKLY = weakref.WeakValueDictionary()
VARIABLE = contextvars.ContextVar("variable")
LONG = 3600


def program(fn):
    """Put a program into the table."""
    PROGRAMS[fn.__name__] = fn
    return fn


class Go:
    """Starts the tasks of one program."""

    def __init__(self, name):
        self.name = name
        self.expected = {}  # task -> whether it is leaked
        self.at_end = []  # functions that end the rest when everything was looked at

    def _start(self, coro, leaked):
        task = asyncio.create_task(coro, name=f"{self.name} {len(self.expected)}")
        self.expected[task] = leaked
        return task

    def leaks(self, coro):
        return self._start(coro, True)

    def lives(self, coro):
        return self._start(coro, False)


async def holding(_thing):
    await asyncio.sleep(LONG)


async def finished(coro):
    """Run a coroutine to its end in a task that is gone afterwards."""
    await asyncio.create_task(coro)


# -- events and futures --


@program
async def event_never_set(go):
    go.leaks(asyncio.Event().wait())


@program
async def event_in_a_global(go):
    HELD["event"] = event = asyncio.Event()
    go.lives(event.wait())


@program
async def event_in_a_sleepers_variable(go):
    event = asyncio.Event()
    go.lives(event.wait())
    go.lives(holding(event))


@program
async def event_in_a_lost_tasks_variable(go):
    event = asyncio.Event()

    async def lost(_event):
        await asyncio.Event().wait()

    go.leaks(event.wait())
    go.leaks(lost(event))


@program
async def events_of_each_other(go):
    first, second = asyncio.Event(), asyncio.Event()

    async def turn(mine, other):
        await mine.wait()
        other.set()

    go.leaks(turn(first, second))
    go.leaks(turn(second, first))


@program
async def events_in_a_row(go):
    events = [asyncio.Event() for _ in range(5)]

    async def turn(mine, other):
        await mine.wait()
        other.set()

    async def begin(first):
        await asyncio.sleep(LONG)
        first.set()

    for mine, other in itertools.pairwise(events):
        go.lives(turn(mine, other))
    go.lives(begin(events[0]))


@program
async def event_for_two(go):
    event = asyncio.Event()
    go.leaks(event.wait())
    go.leaks(event.wait())


async def until_done(future):
    return await future


def new_future():
    return asyncio.get_running_loop().create_future()


@program
async def future_dropped(go):
    go.leaks(until_done(new_future()))


@program
async def future_of_a_timer(go):
    future = new_future()
    asyncio.get_running_loop().call_later(LONG, future.set_result, None)
    go.lives(until_done(future))


@program
async def future_of_a_cancelled_timer(go):
    future = new_future()
    asyncio.get_running_loop().call_later(LONG, future.set_result, None).cancel()
    go.leaks(until_done(future))


@program
async def future_of_a_reader(go):
    ours, theirs = socket.socketpair()
    future = new_future()
    asyncio.get_running_loop().add_reader(ours, future.set_result, None)
    HELD["sockets"] = (ours, theirs)
    go.at_end += [lambda: asyncio.get_running_loop().remove_reader(ours), ours.close, theirs.close]
    go.lives(until_done(future))


@program
async def future_of_a_signal(go):
    future = new_future()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, future.set_result, None)
    go.at_end.append(lambda: asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR2))
    go.lives(until_done(future))


@program
async def future_of_a_thread(go):
    future, stop = new_future(), threading.Event()

    def work(_future):
        stop.wait()

    threading.Thread(target=work, args=(future,), daemon=True).start()
    go.at_end.append(stop.set)
    go.lives(until_done(future))


@program
async def future_of_a_sleepers_end(go):
    future = new_future()
    task = go.lives(holding(None))
    task.add_done_callback(lambda _: future.done() or future.set_result(None))
    go.lives(until_done(future))


@program
async def future_of_a_lost_tasks_end(go):
    future = new_future()
    task = go.leaks(until_done(new_future()))
    task.add_done_callback(lambda _: future.done() or future.set_result(None))
    go.leaks(until_done(future))


@program
async def future_in_a_context_variable(go):
    future = new_future()

    async def user():
        VARIABLE.set(future)
        await asyncio.sleep(LONG)

    go.lives(until_done(future))
    go.lives(user())


@program
async def future_found_by_a_weak_reference(go):
    WEAKLY["future"] = future = new_future()
    go.lives(until_done(future))


@program
async def future_in_c_code(go):
    """A reference that no walk sees: only the count tells."""
    future = new_future()
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(future))
    known = weakref.ref(future)
    go.at_end.append(lambda: ctypes.pythonapi.Py_DecRef(ctypes.py_object(known())))
    go.lives(until_done(future))


@program
async def future_in_a_class(go):
    class Kept:
        future = new_future()

    HELD["class"] = Kept
    go.lives(until_done(Kept.future))


# -- queues --


async def consume(queue):
    while True:
        await queue.get()


@program
async def queue_without_producer(go):
    go.leaks(consume(asyncio.Queue()))


@program
async def queue_with_a_producer(go):
    queue = asyncio.Queue()

    async def produce():
        await asyncio.sleep(LONG)
        queue.put_nowait(1)

    go.lives(consume(queue))
    go.lives(produce())


@program
async def queue_without_consumer(go):
    queue = asyncio.Queue(1)
    queue.put_nowait(1)
    go.leaks(queue.put(2))


@program
async def queue_with_a_consumer(go):
    queue = asyncio.Queue(1)
    queue.put_nowait(1)

    async def slow():
        await asyncio.sleep(LONG)
        queue.get_nowait()

    go.lives(queue.put(2))
    go.lives(slow())


@program
async def queue_never_joined(go):
    queue = asyncio.Queue()
    queue.put_nowait(1)
    go.leaks(queue.join())


@program
async def queue_of_a_pipeline(go):
    """The last knows the one before it, and so on: nobody knows the first."""
    queues = [asyncio.Queue() for _ in range(4)]

    async def stage(source, sink):
        while True:
            sink.put_nowait(await source.get())

    for source, sink in itertools.pairwise(queues):
        go.leaks(stage(source, sink))


# -- locks --


@program
async def lock_never_released(go):
    lock = asyncio.Lock()
    await finished(lock.acquire())
    go.leaks(lock.acquire())


async def inside(lock, fn, *args):
    async with lock:
        await fn(*args)


@program
async def lock_of_a_sleeper(go):
    lock = asyncio.Lock()
    go.lives(inside(lock, asyncio.sleep, LONG))
    go.lives(inside(lock, asyncio.sleep, 0))


@program
async def lock_of_a_lost_task(go):
    lock = asyncio.Lock()
    go.leaks(inside(lock, asyncio.Event().wait))
    go.leaks(inside(lock, asyncio.sleep, 0))


@program
async def locks_in_the_wrong_order(go):
    first, second = asyncio.Lock(), asyncio.Lock()

    async def both(one, other):
        async with one:
            await asyncio.sleep(0)
            async with other:
                pass

    go.leaks(both(first, second))
    go.leaks(both(second, first))


@program
async def semaphore_exhausted(go):
    semaphore = asyncio.Semaphore(2)
    await finished(semaphore.acquire())
    await finished(semaphore.acquire())
    go.leaks(semaphore.acquire())


@program
async def semaphore_of_a_sleeper(go):
    semaphore = asyncio.Semaphore(1)
    go.lives(inside(semaphore, asyncio.sleep, LONG))
    go.lives(inside(semaphore, asyncio.sleep, 0))


async def wait_for_condition(condition):
    async with condition:
        await condition.wait()


@program
async def condition_without_notifier(go):
    condition = asyncio.Condition()
    go.leaks(wait_for_condition(condition))
    go.leaks(wait_for_condition(condition))


@program
async def condition_with_a_notifier(go):
    condition = asyncio.Condition()

    async def notify():
        await asyncio.sleep(LONG)
        async with condition:
            condition.notify_all()

    go.lives(wait_for_condition(condition))
    go.lives(notify())


@program
async def barrier_never_full(go):
    barrier = asyncio.Barrier(3)
    go.leaks(barrier.wait())
    go.leaks(barrier.wait())


@program
async def barrier_with_one_to_come(go):
    barrier = asyncio.Barrier(2)

    async def late():
        await asyncio.sleep(LONG)
        await barrier.wait()

    go.lives(barrier.wait())
    go.lives(late())


# -- tasks --


@program
async def tasks_that_wait_for_each_other(go):
    tasks = []

    async def other(index):
        await asyncio.sleep(0)
        await asyncio.wait({tasks[index]})

    tasks += [go.leaks(other(1)), go.leaks(other(0))]


@program
async def tasks_that_await_a_lost_one(go):
    task = go.leaks(asyncio.Event().wait())
    for _ in range(3):
        task = go.leaks(until_done(task))


@program
async def tasks_that_await_a_sleeper(go):
    task = go.lives(asyncio.sleep(LONG))
    for _ in range(3):
        task = go.lives(until_done(task))


@program
async def gather_forgotten(go):
    asyncio.gather(go.leaks(asyncio.Event().wait()), go.leaks(until_done(new_future())))


@program
async def gather_of_lost_ones(go):
    async def parent():
        await asyncio.gather(child)

    child = go.leaks(asyncio.Event().wait())
    go.leaks(parent())


@program
async def gather_of_one_that_lives(go):
    """It may be woken, by an error; its other child will not be."""

    async def parent(*children):
        await asyncio.gather(*children)

    go.lives(parent(go.leaks(asyncio.Event().wait()), go.lives(asyncio.sleep(LONG))))


@program
async def gather_below_a_timeout(go):
    async def parent(*children):
        async with asyncio.timeout(LONG):
            await asyncio.gather(*children)

    go.lives(parent(go.lives(asyncio.Event().wait())))


@program
async def group_of_lost_children(go):
    async def parent():
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                task = group.create_task(until_done(new_future()))
                go.expected[task] = True
                del task

    go.leaks(parent())


@program
async def group_with_a_child_that_lives(go):
    """If that fails the others are cancelled."""

    async def parent():
        async with asyncio.TaskGroup() as group:
            go.expected[group.create_task(until_done(new_future()))] = False
            go.expected[group.create_task(asyncio.sleep(LONG))] = False

    go.lives(parent())


@program
async def group_whose_body_lives(go):
    async def parent():
        async with asyncio.TaskGroup() as group:
            go.expected[group.create_task(until_done(new_future()))] = False
            await asyncio.sleep(LONG)

    go.lives(parent())


@program
async def group_below_a_timeout(go):
    async def parent():
        async with asyncio.timeout(LONG), asyncio.TaskGroup() as group:
            go.expected[group.create_task(until_done(new_future()))] = False

    go.lives(parent())


@program
async def shield_of_a_lost_task(go):
    async def parent(task):
        await asyncio.shield(task)

    go.leaks(parent(go.leaks(asyncio.Event().wait())))


@program
async def shield_of_a_sleeper(go):
    async def parent(task):
        await asyncio.shield(task)

    go.lives(parent(go.lives(asyncio.sleep(LONG))))


@program
async def wait_without_timeout(go):
    async def parent(*things):
        await asyncio.wait(things)

    go.leaks(parent(new_future(), new_future()))


@program
async def wait_with_a_timeout(go):
    async def parent(*things):
        await asyncio.wait(things, timeout=LONG)

    go.lives(parent(new_future(), new_future()))


@program
async def as_completed_of_dropped_futures(go):
    async def parent(*things):
        for each in asyncio.as_completed(things):
            await each

    go.leaks(parent(new_future()))


# -- cancellation --


@program
async def cancellation_lost(go):
    async def deaf():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    task = go.leaks(deaf())
    await asyncio.sleep(0)
    task.cancel()


@program
async def cancellation_arranged(go):
    task = go.lives(asyncio.Event().wait())
    asyncio.get_running_loop().call_later(LONG, task.cancel)


@program
async def cancellation_arranged_in_a_function(go):
    task = go.lives(asyncio.Event().wait())
    asyncio.get_running_loop().call_later(LONG, lambda: task.cancel())  # noqa: PLW0108


@program
async def cancellation_arranged_by_an_object(go):
    class Owner:
        def __init__(self):
            self.tasks = {go.lives(asyncio.Event().wait())}

        def stop(self):
            for task in self.tasks:
                task.cancel()

    asyncio.get_running_loop().call_later(LONG, Owner().stop)


@program
async def wait_for_with_a_timeout(go):
    """On 3.11 it makes a task of its own, which nothing but the timer ends."""

    async def wait():
        await asyncio.wait_for(asyncio.Event().wait(), LONG)

    go.lives(wait())


@program
async def wait_for_without_timeout(go):
    async def wait():
        await asyncio.wait_for(asyncio.Event().wait(), None)

    go.leaks(wait())


@program
async def timeout_of_preemptio(go):
    async def wait():
        async with preemptio.timeout(LONG):
            await asyncio.Event().wait()

    go.lives(wait())


@program
async def timeout_that_is_over(go):
    async def wait():
        async with asyncio.timeout(LONG):
            await asyncio.sleep(0)
        await asyncio.Event().wait()

    go.leaks(wait())


# -- streams, generators, threads, processes --


@program
async def stream_never_fed(go):
    go.leaks(asyncio.StreamReader().read(1))


@program
async def stream_fed_later(go):
    reader = asyncio.StreamReader()
    asyncio.get_running_loop().call_later(LONG, reader.feed_eof)
    go.lives(reader.read(1))


@program
async def stream_of_a_socket(go):
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    go.at_end += [writer.close, theirs.close]
    go.lives(reader.read(1))


@program
async def stream_of_a_socket_without_writer(go):
    """Nobody but the loop refers to the transport, which refers to the reader weakly."""
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.create_connection(lambda: protocol, sock=ours)
    known = weakref.ref(transport)
    go.at_end += [lambda: known().close(), theirs.close]
    go.lives(reader.readline())


async def generate(awaitable):
    yield 1
    await awaitable
    yield 2


async def iterate(awaitable):
    async for _ in generate(awaitable):
        pass


@program
async def generator_that_waits_for_ever(go):
    go.leaks(iterate(new_future()))


@program
async def generator_that_sleeps(go):
    go.lives(iterate(asyncio.sleep(LONG)))


@program
async def generator_that_is_not_closed(go):
    """It holds the lock; its task is lost."""
    lock = asyncio.Lock()

    async def locked():
        async with lock:
            yield 1

    async def stops_early():
        generator = locked()
        await anext(generator)
        await asyncio.Event().wait()
        await generator.aclose()

    go.leaks(stops_early())
    go.leaks(inside(lock, asyncio.sleep, 0))


@program
async def executor(go):
    stop = threading.Event()
    go.at_end.append(stop.set)
    go.lives(asyncio.to_thread(stop.wait))


@program
async def worker_thread(go):
    stop = threading.Event()
    go.at_end.append(stop.set)
    go.lives(preemptio.blocking(stop.wait))


@program
async def threads_that_wait_for_a_task(go):
    """The thread may cancel what it has started."""
    stop, loop = threading.Event(), asyncio.get_running_loop()

    async def wait():
        go.expected[asyncio.current_task()] = False
        await asyncio.Event().wait()

    def work(future):
        stop.wait()
        future.cancel()

    threading.Thread(target=work, args=(asyncio.run_coroutine_threadsafe(wait(), loop),), daemon=True).start()
    go.at_end.append(stop.set)


@program
async def child_process(go):
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(60)")

    async def end():
        process.kill()
        await process.wait()

    go.at_end.append(end)
    go.lives(process.wait())


# -- plain functions --


@program
async def function_that_waits_for_ever(go):
    def wait():
        preemptio.wait(asyncio.Event().wait())

    go.leaks(until_done(go.leaks(call(wait))))


@program
async def function_that_waits_for_a_sleeper(go):
    event = asyncio.Event()

    def wait():
        preemptio.wait(event.wait())

    def later():
        preemptio.wait(asyncio.sleep(LONG))
        event.set()

    go.lives(call(wait))
    go.lives(call(later))


async def call(fn):
    fn()
