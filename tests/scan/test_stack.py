"""stack(): what a held G's stack looks like, wherever it stands; and nothing of it is kept alive."""

import asyncio
import gc
import threading
import time
import traceback
import weakref

import pytest

import preemptio
from preemptio import lowlevel
from preemptio.lowlevel import Gstatus, SafePointKind, WaitReason

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


async def until(condition):
    while not condition():
        await asyncio.sleep(0)


def functions(stack):
    return [each.function.rpartition(".")[2] for each in stack.frames]


async def waits(event):
    await event.wait()


class TestWhereItStands:
    """Each state in which a G can be held."""

    async def test_new(self):
        """It stands at its beginning."""
        task = preemptio.go(waits, asyncio.Event())
        async with preemptio.suspended(task) as state:
            stack = preemptio.stack(state)
        assert (stack.status, stack.kind, stack.wait_reason) == (
            Gstatus.RUNNABLE,
            SafePointKind.BLOCKED,
            WaitReason.NONE,
        )
        assert functions(stack) == ["waits"]
        assert stack.frames[0].line == waits.__code__.co_firstlineno
        assert stack.awaits == ""
        task.cancel()

    async def test_at_an_await(self):
        """The lines are those that traceback and asyncio show."""
        task = preemptio.go(waits, asyncio.Event(), name="w")
        await asyncio.sleep(0)
        async with preemptio.suspended(task) as state:
            stack = preemptio.stack(state)
            (outermost,) = task.get_stack(limit=1)
            assert (stack.frames[0].file, stack.frames[0].line) == (__file__, outermost.f_lineno)
        assert (stack.g_id, stack.name, stack.status) == (task.g.id, "w", Gstatus.WAITING)
        assert (stack.kind, stack.wait_reason, stack.awaits) == (SafePointKind.BLOCKED, WaitReason.EVENT, "Future")
        assert functions(stack) == ["waits", "wait"]
        assert stack.precise
        assert stack.created_at == task.g.created_at
        task.cancel()

    async def test_for_another_task(self):
        """Which one is said."""
        one = preemptio.go(waits, asyncio.Event(), name="the other")

        async def joins():
            await one

        two = preemptio.go(joins)
        await asyncio.sleep(0)
        async with preemptio.suspended(two) as state:
            stack = preemptio.stack(state)
        assert stack.awaits == 'Task "the other"'
        one.cancel()

    async def test_stopped_by_the_tick(self):
        """At the interrupted line, asynchronous."""
        over = []

        def spin():
            while not over:
                pass

        task = preemptio.go(spin)
        await until(lambda: task.g.parked)
        async with preemptio.suspended(task) as state:
            stack = preemptio.stack(state)
        over.append(1)
        await task
        assert (stack.status, stack.kind) == (Gstatus.RUNNABLE, SafePointKind.ASYNC)
        assert functions(stack) == ["_call", "spin"]
        assert stack.frames[-1].source in ("while not over:", "pass")
        assert "in TestWhereItStands.test_stopped_by_the_tick.<locals>.spin [asynchronous]\n" in str(stack)

    async def test_at_a_checkpoint(self):
        """In the line that calls it."""
        over = []

        def charges():
            while not over:
                preemptio.charge(1000)

        task = preemptio.go(charges)
        await until(lambda: task.g.parked)
        async with preemptio.suspended(task) as state:
            stack = preemptio.stack(state)
        over.append(1)
        await task
        assert stack.kind is SafePointKind.SYNC
        assert functions(stack) == ["_call", "charges"]
        assert stack.frames[-1].source == "preemptio.charge(1000)"

    async def test_in_wait(self):
        """At any depth: a coroutine that a plain function waits for, which a coroutine has called."""
        event = asyncio.Event()

        async def outer():
            inner()

        def inner():
            preemptio.wait(waits(event))

        task = preemptio.go(outer)
        await until(lambda: task.g.parked)
        async with preemptio.suspended(task) as state:
            stack = preemptio.stack(state)
        assert (stack.status, stack.kind, stack.wait_reason) == (Gstatus.WAITING, SafePointKind.SYNC, WaitReason.WAIT)
        assert functions(stack) == ["outer", "inner", "waits", "wait"]
        assert stack.awaits == "Future"
        event.set()
        await task

    async def test_in_a_worker_thread(self):
        """The task awaits the end of the call, from a coroutine or a plain function."""
        for start in (preemptio.blocking, lambda fn: preemptio.wait(preemptio.blocking(fn))):
            told = threading.Event()
            task = preemptio.go(start, told.wait)
            await until(lambda task=task: task.g.status is Gstatus.SYSCALL)
            async with preemptio.suspended(task) as state:
                stack = preemptio.stack(state)
            assert (stack.status, stack.wait_reason) == (Gstatus.SYSCALL, WaitReason.BLOCKING)
            assert functions(stack)[-1] == "blocking"
            assert stack.awaits == "Ended"
            told.set()
            await task

    @pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="nothing is set aside here")
    async def test_set_aside_in_a_blocking_call(self):
        """It is in the call, which C code has not finished: conservative."""

        def sleeps():
            time.sleep(0.05)

        task = preemptio.go(sleeps)
        while task.g.status is not Gstatus.SYSCALL:
            assert not task.done(), "it was not set aside"
            await asyncio.sleep(0)
        async with preemptio.suspended(task) as state:
            stack = preemptio.stack(state)
        assert (stack.status, stack.kind) == (Gstatus.SYSCALL, SafePointKind.BLOCKED)
        assert functions(stack) == ["_call", "sleeps"]
        assert not stack.frames[-1].precise
        await task

    async def test_dead(self):
        """There are no frames."""
        task = preemptio.go(asyncio.sleep, 0)
        await task
        stack = preemptio.stack(await preemptio.suspend_g(task))
        assert (stack.status, stack.frames) == (Gstatus.DEAD, ())

    async def test_from_another_thread(self):
        """Whoever holds it may read it."""
        task = preemptio.go(waits, asyncio.Event())
        await asyncio.sleep(0)

        def look():
            state = preemptio.suspend_g_threadsafe(task)
            stack = preemptio.stack(state)
            preemptio.resume_g(state)
            return stack

        assert functions(await preemptio.blocking(look)) == ["waits", "wait"]
        task.cancel()


class TestTheRecord:
    """What is returned, and what it leaves behind."""

    async def test_it_is_printed_like_a_traceback(self):
        """Outermost first, and each line as traceback prints it."""
        task = preemptio.go(waits, asyncio.Event(), name="w")
        await asyncio.sleep(0)
        async with preemptio.suspended(task) as state:
            text = str(preemptio.stack(state))
            (frame,) = task.get_stack()
            (expected,) = traceback.format_list(traceback.StackSummary.extract([(frame, frame.f_lineno)]))
        head, title, *body = text.splitlines(keepends=True)
        assert head == f'G {task.g.id} "w" [waiting: asyncio.Event], blocked\n'
        assert title == "Stack (most recent call last):\n"
        assert "".join(body[:2]) == expected.split("\n    ~")[0].rstrip("\n") + "\n"
        assert body[-2:] == ["awaits Future\n", f"created at {task.g.created_at}"]
        task.cancel()

    async def test_a_deep_recursion_is_folded(self):
        """As a traceback does it; the record has every frame."""
        event = asyncio.Event()

        async def deep(n):
            await (deep(n - 1) if n else event.wait())

        task = preemptio.go(deep, 100)
        await until(lambda: task.g.status is Gstatus.WAITING)
        async with preemptio.suspended(task) as state:
            stack = preemptio.stack(state)
        assert functions(stack) == ["deep"] * 101 + ["wait"]
        assert "  [Previous line repeated 98 more times]\n" in str(stack)
        task.cancel()

    async def test_nothing_is_kept_alive(self):
        """Neither the record nor the state nor the frames keep what the variables held."""

        class Thing:
            pass

        things = []

        async def holds(event):
            x = Thing()
            things.append(weakref.ref(x))
            await event.wait()
            x = Thing()
            things.append(weakref.ref(x))
            await asyncio.Event().wait()

        event = asyncio.Event()
        task = preemptio.go(holds, event)
        await asyncio.sleep(0)
        async with preemptio.suspended(task) as state:
            stack = preemptio.stack(state)
            str(stack)
        event.set()
        await until(lambda: len(things) == 2)
        assert [thing() is None for thing in things] == [True, False]
        task.cancel()
        await asyncio.wait([task])
        del task  # it keeps the exception, and that its traceback
        gc.collect()
        assert things[1]() is None
        assert state.g.task is None
        assert functions(stack) == ["holds", "wait"]

    async def test_only_while_it_is_held(self):
        """Afterwards the G runs: an error says what to do."""
        task = preemptio.go(waits, asyncio.Event())
        state = await preemptio.suspend_g(task)
        preemptio.resume_g(state)
        with pytest.raises(RuntimeError, match=r"given back.*before resume_g"):
            preemptio.stack(state)
        with pytest.raises(TypeError, match="suspend_g"):
            preemptio.stack(task)
        state = await preemptio.suspend_g(task)
        asyncio.get_running_loop().let_all_go()
        with pytest.raises(RuntimeError, match="not held any more"):
            preemptio.stack(state)
        preemptio.resume_g(state)
        task.cancel()

    async def test_the_end_of_a_hold_waits_for_who_reads(self):
        """A thread is at the frames: they must not run."""
        task = preemptio.go(waits, asyncio.Event())
        state = await preemptio.suspend_g(task)
        reading, order = threading.Event(), []

        def reads():
            with state._hold.reading:
                reading.set()
                time.sleep(0.01)
                order.append("read")

        thread = threading.Thread(target=reads)
        thread.start()
        reading.wait()
        preemptio.resume_g(state)
        order.append("resumed")
        thread.join()
        assert order == ["read", "resumed"]
        task.cancel()

    async def test_lowlevel_names(self):
        """The classes of what is returned."""
        me = preemptio.go(waits, asyncio.Event())
        async with preemptio.suspended(me) as state:
            stack = preemptio.stack(state)
        assert type(stack) is lowlevel.Stack
        assert type(stack.frames[0]) is lowlevel.StackFrame
        me.cancel()
