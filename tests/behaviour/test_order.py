"""The order of callbacks and steps is that of the loop underneath, when nobody is preempted."""

import asyncio
import contextlib

import pytest
from hypothesis import given, settings, strategies as st

import preemptio
from tests.conftest import BASES

pytestmark = pytest.mark.loop

EVENTS = 3

ops = st.recursive(
    st.one_of(
        st.just(("yield",)),
        st.just(("callback",)),
        st.just(("threadsafe",)),
        st.just(("chain",)),
        st.tuples(st.just("set"), st.integers(0, EVENTS - 1)),
        st.tuples(st.just("wait"), st.integers(0, EVENTS - 1)),
        st.just(("future",)),
        st.just(("cancel",)),
        st.just(("lock",)),
    ),
    lambda inner: st.one_of(
        st.tuples(st.just("spawn"), st.lists(inner, max_size=4)),
        st.tuples(st.just("join"), st.lists(inner, max_size=4)),
        st.tuples(st.just("shield"), st.lists(inner, max_size=3)),
    ),
    max_leaves=12,
)


def record(make, program):
    """Run a program of tasks; return the order in which its parts ran."""
    seen = []

    async def body(name, todo, shared):
        events, lock, tasks = shared
        loop = asyncio.get_running_loop()
        seen.append((name, "start"))
        for at, (op, *args) in enumerate(todo):
            here = (name, at, op)
            match op:
                case "yield":
                    await asyncio.sleep(0)
                case "callback":
                    loop.call_soon(seen.append, (*here, "ran"))
                case "threadsafe":
                    loop.call_soon_threadsafe(seen.append, (*here, "ran"))
                case "chain":
                    loop.call_soon(loop.call_soon, seen.append, (*here, "ran"))
                case "set":
                    events[args[0]].set()
                case "wait":
                    await events[args[0]].wait()
                case "future":
                    future = loop.create_future()
                    future.add_done_callback(lambda _, here=here: seen.append((*here, "done")))
                    loop.call_soon(lambda future=future: future.done() or future.set_result(None))
                    await future
                case "cancel":
                    tasks[len(seen) % len(tasks)].cancel()
                case "lock":
                    async with lock:
                        await asyncio.sleep(0)
                case "spawn" | "join" | "shield":
                    child = loop.create_task(body((*name, at), args[0], shared))
                    child.add_done_callback(lambda _, here=here: seen.append((*here, "ended")))
                    tasks.append(child)
                    if op != "spawn":
                        with contextlib.suppress(asyncio.CancelledError):
                            await (asyncio.shield(child) if op == "shield" else child)
            seen.append(here)

    async def main():
        shared = [asyncio.Event() for _ in range(EVENTS)], asyncio.Lock(), []
        tasks = shared[2]
        for n, todo in enumerate(program):
            tasks.append(asyncio.get_running_loop().create_task(body((n,), todo, shared)))
        for _ in range(60):
            await asyncio.sleep(0)
        while not all(task.done() for task in tasks):  # those that caught one cancellation get another
            for task in tasks:
                task.cancel()
            await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(main())
    return seen


@pytest.mark.uninjected("the order of turns")
@pytest.mark.parametrize("name", BASES)
@settings(max_examples=40, deadline=None)
@given(program=st.lists(st.lists(ops, max_size=6), min_size=1, max_size=4))
def test_as_on_the_stock_loop(name, program):
    """Steps and callbacks run in the order in which the stock loop of the same kind runs them."""
    base = BASES[name]

    def ours():
        with preemptio.config.override(slice=1.0):
            return preemptio.new_event_loop(base)

    assert record(ours, program) == record(base, program)


def test_timers_keep_the_order_of_their_times(make_loop):
    """Timers run in the order of their times, not of their making.

    All of them lie ahead: uvloop makes one that is due at once a callback, and the others may be due before its turn.
    """
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        now = loop.time()
        for n in (4, 2, 3, 1):
            loop.call_at(now + n / 50, seen.append, n)
        done = asyncio.Event()
        loop.call_at(now + 5 / 50, done.set)
        await done.wait()

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(main())
    assert seen == [1, 2, 3, 4]
