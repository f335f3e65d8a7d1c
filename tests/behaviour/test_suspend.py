"""suspend_g: a G is brought to a safe point, kept there, and goes on where it was."""

import asyncio
import gc
import threading
import time

import pytest
import structlog.testing

import preemptio
from preemptio.lowlevel import Gstatus, current_g
from tests.behaviour._support import Flag, parked, preempted, spin, turns

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


async def until_waiting(*tasks):
    for task in tasks:
        while task.g.status is not Gstatus.WAITING:
            await asyncio.sleep(0)


class TestWhereItStands:
    """Each place where a G can be."""

    async def test_one_that_waits(self):
        """It is held at its await; its wake-up takes its course when it is let go."""
        event = asyncio.Event()
        task = asyncio.create_task(event.wait())
        await until_waiting(task)
        state = await preemptio.suspend_g(task)
        assert (state.g, state.status, state.dead, state.stopped) == (task.g, Gstatus.WAITING, False, False)
        assert task.g.status.scanned
        assert task.g.suspended
        event.set()
        await turns(20)
        assert not task.done()
        preemptio.resume_g(state)
        assert await task is True
        assert not task.g.suspended

    @pytest.mark.uninjected("the order of turns")
    async def test_one_that_has_its_step_in_the_queue(self):
        """A new one, and one that has been woken: the step stays where it is, and is not run."""
        ran = []

        async def body():
            ran.append("first")
            await asyncio.sleep(0)
            ran.append("second")

        task = asyncio.create_task(body())
        async with preemptio.suspended(task) as state:
            assert state.status is Gstatus.RUNNABLE
            await turns(20)
            assert ran == []
        while not ran:
            await asyncio.sleep(0)
        async with preemptio.suspended(task):
            await turns(20)
            assert ran == ["first"]
        await task
        assert ran == ["first", "second"]

    async def test_one_that_was_preempted(self):
        """It gets no CPU, whatever becomes free, until it is let go."""
        with Flag() as flag:
            task = preemptio.go(spin, flag)
            await parked(task)
            async with preemptio.suspended(task) as state:
                assert state.status is Gstatus.RUNNABLE
                slices = task.g.slices
                await asyncio.sleep(0.02)
                assert task.g.slices == slices
            while task.g.slices == slices:
                await asyncio.sleep(0)

    async def test_one_that_stands_in_wait(self):
        """What it waits for may come meanwhile."""
        event = asyncio.Event()
        task = preemptio.go(lambda: preemptio.wait(event.wait()))
        await parked(task)
        async with preemptio.suspended(task):
            event.set()
            await turns(20)
            assert task.g.parked
        assert await task is True

    async def test_one_that_waits_for_a_worker_thread(self):
        """In a coroutine and in a plain function: the call ends, the G does not go on before it is let go."""
        for start in (preemptio.blocking, lambda fn: preemptio.wait(preemptio.blocking(fn))):
            told = threading.Event()
            task = preemptio.go(start, told.wait)
            while task.g.status is not Gstatus.SYSCALL:
                await asyncio.sleep(0)
            async with preemptio.suspended(task) as state:
                assert state.status is Gstatus.SYSCALL
                told.set()
                await asyncio.sleep(0.02)
                assert not task.done()
            assert await task is True

    async def test_one_of_the_background_class(self):
        """Let go, it is of that class again."""
        ran = []
        task = preemptio.go(ran.append, 1, background=True)
        async with preemptio.suspended(task):
            await asyncio.sleep(0.01)
            assert not ran
        await task
        assert ran == [1]

    async def test_a_dead_one(self):
        """There is nothing to hold, and the state says so for ever."""
        task = asyncio.create_task(asyncio.sleep(0))
        await task
        state = await preemptio.suspend_g(task)
        assert (state.dead, state.stopped, task.g.suspended) == (True, False, False)
        preemptio.resume_g(state)

    async def test_one_whose_task_is_gone(self):
        """The same for a task that was collected."""
        g = asyncio.create_task(asyncio.sleep(0)).g
        await turns(3)
        gc.collect()
        assert (await preemptio.suspend_g(g)).dead


class TestMeanwhile:
    """What comes while a G is held."""

    async def test_a_cancellation(self):
        """It is kept as any other wake-up."""
        task = asyncio.create_task(asyncio.sleep(60))
        await until_waiting(task)
        async with preemptio.suspended(task):
            task.cancel()
            await turns(20)
            assert not task.done()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_a_cancellation_at_a_safe_point(self):
        """It is raised where the G stands, but not before it is let go."""
        flag = Flag()
        task = preemptio.go(spin, flag, cancel="safepoint")
        await parked(task)
        async with preemptio.suspended(task):
            task.cancel()
            await asyncio.sleep(0.01)
            assert not task.done()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_a_timeout(self):
        """It expires by the clock, and ends the task when that goes on."""

        deadline = asyncio.timeout(None)

        async def body():
            async with deadline:
                await asyncio.sleep(60)

        task = asyncio.create_task(body())
        await until_waiting(task)
        async with preemptio.suspended(task):
            deadline.reschedule(asyncio.get_running_loop().time() + 0.001)
            await asyncio.sleep(0.01)
            assert not task.done()
        with pytest.raises(TimeoutError):
            await task

    async def test_a_timeout_of_code_that_computes(self):
        """It is raised where the G stands, but not before it is let go."""
        flag, limit = Flag(), preemptio.timeout(None)

        async def body():
            async with limit:
                spin(flag)

        task = asyncio.create_task(body())
        await parked(task)
        async with preemptio.suspended(task):
            limit._block.strike()
            await asyncio.sleep(0.01)
            assert not task.done()
        with pytest.raises(TimeoutError):
            await task
        assert limit.expired

    async def test_wake_ups_come_in_their_order(self):
        """Gs that were woken one after the other while one reader held them go on as they are let go."""
        order, events = [], [asyncio.Event() for _ in range(5)]

        async def body(n):
            await events[n].wait()
            order.append(n)

        tasks = [asyncio.create_task(body(n)) for n in range(5)]
        await until_waiting(*tasks)
        states = [await preemptio.suspend_g(task) for task in tasks]
        for event in reversed(events):
            event.set()
        await turns(5)
        for state in states:
            preemptio.resume_g(state)
        await asyncio.gather(*tasks)
        assert order == [0, 1, 2, 3, 4]

    async def test_readers_share(self):
        """It goes on with the last of them."""
        task = asyncio.create_task(asyncio.sleep(0))
        states = [await preemptio.suspend_g(task) for _ in range(3)]
        for state in states:
            await turns(10)
            assert not task.done()
            preemptio.resume_g(state)
        await task

    async def test_the_task_is_kept(self):
        """What is read does not go away because nobody else refers to it."""
        state = await preemptio.suspend_g(asyncio.create_task(asyncio.sleep(60)))
        gc.collect()
        assert state.g.task is not None
        task = state.g.task
        preemptio.resume_g(state)
        task.cancel()


class TestOneThatRuns:
    """It must be stopped first."""

    async def test_by_a_thread(self):
        """The tick finds the request: it stops as PREEMPTED, and one who asked owns it then."""
        with Flag() as flag:
            hog = preemptio.go(spin, flag)
            stopped = []

            def ask():
                for _ in range(20):
                    state = preemptio.suspend_g_threadsafe(hog)
                    stopped.append(state.stopped)
                    slices = hog.g.slices
                    assert hog.g.status in (Gstatus.SCANWAITING, Gstatus.SCANRUNNABLE)
                    time.sleep(0.002)
                    assert hog.g.slices == slices
                    preemptio.resume_g(state)
                    while hog.g.slices == slices:
                        time.sleep(0)

            await preemptio.blocking(ask)
        await hog
        assert len(stopped) == 20

    async def test_an_eager_child_asks_for_its_parent(self):
        """Its parent runs, since it runs inside the parent's step: it waits until that step has ended."""
        said = []

        async def child(parent):
            async with preemptio.suspended(parent) as state:
                said.append(state.status)
                await turns(10)
                said.append("read")

        async def parent():
            coro = child(asyncio.current_task())
            if hasattr(asyncio, "eager_task_factory"):
                inside = asyncio.eager_task_factory(asyncio.get_running_loop(), coro)
            else:
                inside = asyncio.create_task(coro)
            said.append("runs on")
            await asyncio.sleep(0)
            said.append("goes on")
            await inside

        await asyncio.create_task(parent())
        assert said[0] == "runs on"
        assert said[-1] == "goes on"
        assert "read" in said

    async def test_masked(self):
        """In a nopreempt region it runs to the region's end, and stops as soon as it may."""
        inside, told = threading.Event(), []

        def body():
            with preemptio.nopreempt("test"):
                inside.set()
                while not told:
                    pass
                until = time.monotonic() + 0.005
                while time.monotonic() < until:
                    pass
                assert not current_g().suspended
            while len(told) == 1:
                pass

        def ask():
            inside.wait()
            told.append("asked")
            state = preemptio.suspend_g_threadsafe(task)
            told.append("stands")
            preemptio.resume_g(state)

        task = preemptio.go(body)
        thread = threading.Thread(target=ask)
        thread.start()
        await task
        thread.join()
        assert told == ["asked", "stands"]

    async def test_too_late(self):
        """Code that cannot be stopped: the request is withdrawn, and the G is not stopped for it later."""
        inside, over = threading.Event(), threading.Event()

        def body():
            with preemptio.nopreempt("test"):
                inside.set()
                while not over.is_set():
                    pass
            return "done"

        def ask():
            inside.wait()
            try:
                with pytest.raises(TimeoutError, match=r"could not be stopped within 0\.01 s"):
                    preemptio.suspend_g_threadsafe(task, timeout=0.01)
            finally:
                over.set()

        task = preemptio.go(body)
        thread = threading.Thread(target=ask)
        thread.start()
        assert await task == "done"
        thread.join()
        assert not task.g.preempt_stop


class TestEachOther:
    """Two that suspend each other: one wins, whoever comes first, and both end."""

    @pytest.mark.parametrize("pauses", [(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    async def test_two(self, pauses):
        before, inside, other = pauses
        tasks = []

        async def body(me):
            await turns(before if me else other)
            async with preemptio.suspended(tasks[1 - me]) as state:
                assert not current_g().suspended
                await turns(3 * inside)
                assert state.dead or state.g.suspended

        with preemptio.nopreempt("both begin when both are there"):
            tasks += [asyncio.create_task(body(me)) for me in (0, 1)]
        await asyncio.gather(*tasks)

    async def test_an_eager_child_and_its_parent(self):
        """The child's request is kept while it is held itself, and granted when it is let go."""
        order = []

        async def child(parent):
            async with preemptio.suspended(parent):
                order.append("child reads")
                await turns(3)

        async def parent():
            coro = child(asyncio.current_task())
            if hasattr(asyncio, "eager_task_factory"):
                inside = asyncio.eager_task_factory(asyncio.get_running_loop(), coro)
            else:
                inside = asyncio.create_task(coro)
            async with preemptio.suspended(inside):
                order.append("parent reads")
                await turns(3)
            await inside

        await asyncio.create_task(parent())
        assert order == ["parent reads", "child reads"]

    async def test_a_ring(self):
        """Each suspends the next: nobody waits for ever."""
        tasks = []

        async def body(n):
            for _ in range(5):
                async with preemptio.suspended(tasks[(n + 1) % len(tasks)]):
                    await asyncio.sleep(0)
                await asyncio.sleep(0)

        with preemptio.nopreempt("they begin when all are there"):
            tasks += [asyncio.create_task(body(n)) for n in range(7)]
        await asyncio.gather(*tasks)


class TestForgotten:
    """A share that is not given back."""

    async def test_its_owner_ends(self):
        """Then it is given back, and that is reported."""
        kept, event = [], asyncio.Event()

        async def forgets():
            kept.append(await preemptio.suspend_g(task))

        with structlog.testing.capture_logs() as said:
            task = asyncio.create_task(event.wait())
            await asyncio.create_task(forgets())
            event.set()
            await task
            assert kept[0].over
            await turns(3)
        assert [(entry["event"], entry["g"]) for entry in said] == [("suspended task was not resumed", task.g.id)]

    async def test_nobody_refers_to_it(self):
        """The same."""
        with structlog.testing.capture_logs() as said:
            task = asyncio.create_task(asyncio.sleep(0))
            await preemptio.suspend_g(task)
            gc.collect()
            await task
            await turns(3)
        why = [entry["why"] for entry in said if entry["event"] != "slow step"]  # which the collection may be
        assert why == ["nobody refers to it any more"]

    async def test_twice(self):
        """To give back what was given back is an error, and ends nobody else's share."""
        task = asyncio.create_task(asyncio.sleep(0))
        first, second = await preemptio.suspend_g(task), await preemptio.suspend_g(task)
        preemptio.resume_g(first)
        with pytest.raises(RuntimeError, match="given back already"):
            preemptio.resume_g(first)
        await turns(10)
        assert not task.done()
        preemptio.resume_g(second)
        await task

    async def test_cancelled_while_it_waits(self):
        """A request that nobody waits for any more is withdrawn."""
        inside, over, asked = asyncio.Event(), threading.Event(), []

        async def body():
            with preemptio.nopreempt("test"):
                inside.set()
                child = asyncio.create_task(ask())
                if hasattr(asyncio, "eager_task_factory"):
                    child.cancel()
                    child = asyncio.eager_task_factory(asyncio.get_running_loop(), ask())
                child.cancel()
            await asyncio.wait([child])
            return child

        async def ask():
            asked.append(await preemptio.suspend_g(task))

        task = asyncio.create_task(body())
        child = await task
        assert child.cancelled()
        assert not asked
        assert not task.g.suspended
        over.set()


class TestMisuse:
    """Errors that say what to do."""

    async def test_itself(self):
        with pytest.raises(RuntimeError, match="cannot suspend itself"):
            await preemptio.suspend_g(current_g())

    async def test_no_g(self):
        with pytest.raises(TypeError, match="takes a G or a task"):
            await preemptio.suspend_g("worker")
        with pytest.raises(TypeError, match="what suspend_g"):
            preemptio.resume_g(current_g())

    async def test_the_wrong_thread(self):
        task = asyncio.create_task(asyncio.sleep(0))
        with pytest.raises(RuntimeError, match="use `await suspend_g"):
            preemptio.suspend_g_threadsafe(task)
        await task

    async def test_another_loop(self):
        """A task of a loop in another thread is suspended by a thread."""
        made, done = [], threading.Event()

        async def elsewhere():
            made.append(asyncio.create_task(asyncio.sleep(60)))
            while not done.is_set():
                await asyncio.sleep(0.001)
            assert made[0].g.suspended

        thread = threading.Thread(target=preemptio.run, args=(elsewhere(),))
        thread.start()
        while not made:
            await asyncio.sleep(0.001)
        with pytest.raises(preemptio.NotInstalledError, match="another loop"):
            await preemptio.suspend_g(made[0])
        state = preemptio.suspend_g_threadsafe(made[0])
        done.set()
        await preemptio.blocking(thread.join)
        assert made[0].cancelled()
        preemptio.resume_g(state)


async def test_many_at_once():
    """Tasks and threads suspend, resume, cancel, wake and preempt a dozen Gs at random; each ends as it must."""
    with Flag() as flag:
        hogs = [preemptio.go(spin, flag) for _ in range(3)]
        events = [asyncio.Event() for _ in range(6)]
        waiting = [asyncio.create_task(event.wait()) for event in events]
        targets = [*hogs, *waiting]

        async def reader(n):
            for i in range(30):
                target = targets[(i * 7 + n) % len(targets)]
                async with preemptio.suspended(target) as state:
                    slices = state.g.slices
                    await turns(i % 4)
                    assert state.dead or state.g.slices == slices

        def thread(n):
            for i in range(30):
                state = preemptio.suspend_g_threadsafe(targets[(i * 5 + n) % len(targets)])
                slices = state.g.slices
                time.sleep(0)
                assert state.dead or state.g.slices == slices
                preemptio.resume_g(state)

        async def wakes():
            for event in events[:4]:
                await asyncio.sleep(0.002)
                event.set()
            waiting[4].cancel()

        work = [asyncio.create_task(reader(n)) for n in range(4)]
        work += [preemptio.go(preemptio.blocking, thread, n) for n in range(3)]
        await asyncio.gather(*work, asyncio.create_task(wakes()))
        events[5].set()
        await asyncio.wait(waiting)
        assert [task.cancelled() for task in waiting] == [False] * 4 + [True, False]
        assert not any(task.g.suspended for task in targets)
        assert not asyncio.get_running_loop()._p.holds
        before = [preempted(hog) for hog in hogs]
        while any(preempted(hog) == n for hog, n in zip(hogs, before, strict=True)):
            await asyncio.sleep(0)
