"""Who waits for what he holds: he can be cancelled, and nothing is stuck for ever, in whatever order things come."""

import asyncio

import pytest
import structlog.testing

import preemptio
from preemptio._aio._awaited import awaited_by
from preemptio._aio._shares import WAITED_FOR
from preemptio.lowlevel import all_gs, pauses
from tests.behaviour._support import turns

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]

LIMIT = 20  # seconds: a deadlock fails, and does not hang


async def awaits(task):
    async with preemptio.suspended(task):
        await task


async def forgets_and_awaits(task):
    state = await preemptio.suspend_g(task)
    await task
    assert state


async def resumes_at_last(task):
    state = await preemptio.suspend_g(task)
    try:
        await task
    finally:
        preemptio.resume_g(state)


async def holds_twice(task):
    async with preemptio.suspended(task), preemptio.suspended(task):
        await task


async def gathers(task):
    async with preemptio.suspended(task):
        await asyncio.gather(asyncio.gather(task), asyncio.sleep(0))


async def shields(task):
    async with preemptio.suspended(task):
        await asyncio.gather(asyncio.shield(task))


async def awaits_by_another(task):
    async def between():
        await task

    async with preemptio.suspended(task):
        await asyncio.create_task(between())


async def waits_in_a_function(task):
    async with preemptio.suspended(task):
        preemptio.wait(task)


async def awaits_in_the_stopped_world(task):
    async with preemptio.stop_the_world("test"):
        await task


async def awaits_who_is_born_there(_task):
    async with preemptio.stop_the_world("test"):
        await asyncio.create_task(asyncio.sleep(0))


async def is_a_task_group(_task):
    async with asyncio.TaskGroup() as group:
        child = group.create_task(asyncio.sleep(0))
        state = await preemptio.suspend_g(child)
    assert state


async def is_a_task_group_with_one_between(_task):
    async with asyncio.TaskGroup() as group:
        child = asyncio.create_task(asyncio.sleep(0))
        group.create_task(awaits_it(child))
        state = await preemptio.suspend_g(child)
    assert state


async def awaits_it(task):
    await task


WAYS = [
    awaits,
    forgets_and_awaits,
    resumes_at_last,
    holds_twice,
    gathers,
    shields,
    awaits_by_another,
    waits_in_a_function,
    awaits_in_the_stopped_world,
    awaits_who_is_born_there,
    is_a_task_group,
    is_a_task_group_with_one_between,
]


async def until_done(*tasks):
    """Return when all are done; if they never are, that is the failure."""
    loop = asyncio.get_running_loop()
    timer = loop.call_later(LIMIT, loop.let_all_go)  # this task may be held itself
    _, left = await asyncio.wait(tasks, timeout=LIMIT)
    timer.cancel()
    assert not left


async def until_held(task):
    while not task.g.suspended:
        await asyncio.sleep(0)


def when_it_waits(suspender, do):
    """Call `do` when a suspender waits for what it holds."""
    if any(task.g.suspended for task in awaited_by(suspender)):
        do()
    else:
        asyncio.get_running_loop().call_soon(when_it_waits, suspender, do)


async def sleeps(event):
    await event.wait()


@pytest.mark.uninjected("a stopped world stops the test, too, which must have said before what is to come")
class TestCancelled:
    """By anybody, while it waits for what it holds."""

    @pytest.mark.parametrize("when", ["before it is due", "when it is due", "between two turns"])
    @pytest.mark.parametrize("way", WAYS)
    async def test_the_suspender(self, way, when):
        """It ends as cancelled, and takes nobody with it but whom asyncio does."""
        event = asyncio.Event()
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        task = asyncio.create_task(sleeps(event))
        await turns(3)

        def cancel():  # a callback: the world may be stopped, and this test with it
            if when == "when it is due":
                event.set()
                loop.call_soon(suspender.cancel)
            elif when == "between two turns":
                suspender.cancel()
                event.set()
            else:
                suspender.cancel()

        with structlog.testing.capture_logs() as said:
            with preemptio.nopreempt("the suspender might stop the world, and this test with it, too soon"):
                suspender = asyncio.create_task(way(task))
                when_it_waits(suspender, cancel)
                suspender.add_done_callback(ended.set_result)
            await until_done(ended)
            event.set()
            await until_done(task)
        assert suspender.cancelled()
        reports = [entry for entry in said if entry["event"] == "suspended task was not resumed"]
        assert bool(reports) == (way is not shields)  # which may be cancelled by itself
        assert {entry["advice"] for entry in reports} <= {WAITED_FOR}
        assert not any(g.suspended for g in all_gs(asyncio.get_running_loop()))

    @pytest.mark.parametrize("way", WAYS)
    async def test_a_timeout(self, way):
        """The same for asyncio.timeout inside of the suspender."""
        event = asyncio.Event()
        task = asyncio.create_task(sleeps(event))
        await turns(3)

        async def body():
            async with asyncio.timeout(0.02):
                await way(task)

        with structlog.testing.capture_logs():
            suspender = asyncio.create_task(body())
            ended = asyncio.get_running_loop().create_future()
            suspender.add_done_callback(ended.set_result)
            await until_done(ended)
            event.set()
            await until_done(task)
        assert isinstance(suspender.exception(), TimeoutError)

    @pytest.mark.parametrize("way", [awaits, resumes_at_last, gathers, waits_in_a_function, awaits_by_another])
    async def test_the_one_that_is_held(self, way):
        """It is let go to be cancelled, since who holds it waits for that; so does wait_for of 3.11."""
        task = asyncio.create_task(asyncio.sleep(60))
        with structlog.testing.capture_logs() as said:
            suspender = asyncio.create_task(way(task))
            await until_held(task)
            await turns(5)
            task.cancel()
            await until_done(task, suspender)
        assert task.cancelled()
        assert [entry["g"] for entry in said] == [task.g.id]

    @pytest.mark.parametrize("way", [awaits, resumes_at_last, gathers, awaits_by_another, awaits_in_the_stopped_world])
    async def test_plain_tasks(self, way):
        """Those that are not the loop's own, of which nobody hears that they were cancelled."""
        loop = asyncio.get_running_loop()
        task = asyncio.Task(asyncio.sleep(60), loop=loop)
        await turns(3)
        ended = loop.create_future()
        with structlog.testing.capture_logs() as said:
            with preemptio.nopreempt("the suspender might stop the world, and this test with it, too soon"):
                suspender = asyncio.Task(way(task), loop=loop)
                suspender.add_done_callback(ended.set_result)
                when_it_waits(suspender, suspender.cancel)
            await until_done(ended)
        await until_done(task)
        assert (suspender.cancelled(), task.cancelled()) == (True, True)
        assert [entry["advice"] for entry in said] == [WAITED_FOR]

    async def test_a_chain_of_suspenders(self):
        """Each holds the next, and awaits it."""
        tasks = [asyncio.create_task(asyncio.sleep(60))]
        with structlog.testing.capture_logs():
            for _ in range(4):
                tasks.append(asyncio.create_task(forgets_and_awaits(tasks[-1])))
                await until_held(tasks[-2])
                await turns(3)
            tasks[-1].cancel()
            await until_done(*tasks)
        assert all(task.cancelled() for task in tasks)

    async def test_what_it_does_not_wait_for_stays(self):
        """To clean up with what one holds is possible: only what is waited for is let go."""
        event, order = asyncio.Event(), []

        async def other():
            await event.wait()
            order.append("other")

        async def holds_two():
            async with preemptio.suspended(kept):
                try:
                    async with preemptio.suspended(task):
                        await task
                finally:
                    event.set()
                    await asyncio.sleep(0.01)
                    order.append("cleaned up")

        task, kept = asyncio.create_task(asyncio.sleep(60)), asyncio.create_task(other())
        with structlog.testing.capture_logs() as said:
            await turns(3)
            suspender = asyncio.create_task(holds_two())
            await until_held(task)
            await turns(3)
            suspender.cancel()
            await until_done(suspender, kept)
        assert order == ["cleaned up", "other"]
        assert [entry["g"] for entry in said] == [task.g.id]

    async def test_it_does_not_wait(self):
        """A suspender that is cancelled where it waits for something else keeps what it holds until it ends."""
        event, kept = asyncio.Event(), []

        async def holds():
            state = await preemptio.suspend_g(task)
            try:
                await asyncio.sleep(60)
            finally:
                await turns(10)
                kept.append(task.g.suspended)
                preemptio.resume_g(state)

        task = asyncio.create_task(sleeps(event))
        suspender = asyncio.create_task(holds())
        await until_held(task)
        event.set()
        task.cancel()
        suspender.cancel()
        await until_done(suspender, task)
        assert kept == [True]

    @pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="only an eager task ever has to wait for it")
    @pytest.mark.parametrize("pause", [0, 1, 3])
    @pytest.mark.parametrize(
        "acts", ["cancel", "hold resume", "cancel hold resume", "hold cancel resume", "hold cancel"]
    )
    async def test_while_it_asks(self, acts, pause):
        """A request that is kept is withdrawn, granted, or kept until who asked is let go: whatever comes first."""
        outcomes, granted = [], []

        async def child(parent):
            async with preemptio.suspended(parent):
                granted.append("by a tick in the middle of what its parent does, perhaps")
                await turns(2)
            return "held it"

        async def parent():
            inside = asyncio.eager_task_factory(asyncio.get_running_loop(), child(asyncio.current_task()))
            assert loop._suspends._kept
            state = None
            for act in acts.split():
                await turns(pause)
                if act == "hold":
                    state = await preemptio.suspend_g(inside)
                elif act == "resume":
                    preemptio.resume_g(state)
                else:
                    inside.cancel()
            outcomes.append(inside)
            await asyncio.wait([inside])

        loop = asyncio.get_running_loop()
        with structlog.testing.capture_logs():  # of one that is held, was cancelled, and is waited for
            await until_done(asyncio.create_task(parent()))
        await until_done(*outcomes)
        assert not loop._suspends._kept
        assert not loop._p.holds
        if not pause and "cancel" in acts and not granted:
            assert outcomes[0].cancelled()
        if "cancel" not in acts:
            assert outcomes[0].result() == "held it"


class TestLetGoByHand:
    """A share that was given back for somebody."""

    async def test_afterwards(self):
        """To give it back oneself is no error, once: one cannot know."""
        task, kept = asyncio.create_task(asyncio.sleep(60)), []

        async def holds():
            kept.append(await preemptio.suspend_g(task))
            await task

        with structlog.testing.capture_logs():
            suspender = asyncio.create_task(holds())
            await until_held(task)
            await turns(3)
            suspender.cancel()
            await until_done(suspender, task)
        assert kept[0].over
        preemptio.resume_g(kept[0])
        with pytest.raises(RuntimeError, match="given back already"):
            preemptio.resume_g(kept[0])

    @pytest.mark.uninjected("the task must not end before it is held")
    async def test_by_a_timer(self):
        """One may await what one holds, if somebody else gives it back: nothing is done about that."""
        task, order = asyncio.create_task(asyncio.sleep(0)), []

        async def holds():
            state = await preemptio.suspend_g(task)

            def resume():
                order.append("resumed")
                preemptio.resume_g(state)

            asyncio.get_running_loop().call_later(0.03, resume)
            await task
            order.append("ended")

        with structlog.testing.capture_logs() as said:
            await until_done(asyncio.create_task(holds()))
        assert order == ["resumed", "ended"]
        assert not said

    @pytest.mark.parametrize("way", ["async generator", "by hand"])
    async def test_a_stopper_that_ends(self, way):
        """The world goes on, for whoever was to say so may himself be held: an async generator's aclose()."""
        loop, kept = asyncio.get_running_loop(), []
        ended = loop.create_future()

        async def generator():
            async with preemptio.stop_the_world("test"):
                yield

        async def stops():
            if way == "by hand":
                kept.append(preemptio.stop_the_world("test"))
                await kept[0].__aenter__()
            else:
                async for _ in generator():
                    break

        with structlog.testing.capture_logs() as said:
            suspender = asyncio.create_task(stops())
            suspender.add_done_callback(ended.set_result)
            await until_done(ended)
            await turns(5)
            async with preemptio.stop_the_world("next"):
                kept.clear()
                await turns(5)
                assert all(
                    g.status.scanned for g in all_gs(asyncio.get_running_loop()) if g is not asyncio.current_task().g
                )
        assert len(said) == 1
        assert "had stopped the world" in said[0]["why"]
        assert {each.count for each in pauses().values()} == {1}


async def test_it_is_seen_in_waits():
    """The one that is held waits for whoever holds it, and he for it: a cycle."""
    task = asyncio.create_task(asyncio.sleep(60))
    suspender = asyncio.create_task(awaits(task))
    await until_held(task)
    await turns(3)
    graph = preemptio.waits()
    names = [f"G {suspender.g.id}", f"G {task.g.id}"]
    assert (names[1], names[0], "suspended by") in graph.edges
    assert [sorted(each) for each in graph.cycles] == [sorted(names)]
    with structlog.testing.capture_logs():
        suspender.cancel()
        await until_done(suspender)
