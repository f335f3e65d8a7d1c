"""Giving way by one's own will, with preemption by signal switched off."""

import asyncio

import pytest

import preemptio
from preemptio.lowlevel import PreemptKind, Verdict
from tests.behaviour._support import Flag, limit, parked, spin

pytestmark = pytest.mark.loop


@pytest.fixture
def run(make_loop):
    """Run a coroutine function on a loop that preempts at checkpoints only; it gets a clock task's list of turns."""

    def run(main):
        async def with_clock():
            turns = []

            async def clock():
                while True:
                    turns.append(1)
                    await asyncio.sleep(0)

            ticking = asyncio.create_task(clock())
            await asyncio.sleep(0)
            try:
                await main(turns)
            finally:
                ticking.cancel()

        with asyncio.Runner(loop_factory=lambda: make_loop(debug="asyncpreemptoff=1")) as runner:
            runner.run(with_clock())

    return run


def test_off_is_off(run):
    """With asyncpreemptoff=1 a loop without checkpoints keeps the CPU; every attempt is refused as `off`."""

    async def main(turns):
        g = asyncio.current_task().g
        before = len(turns)
        while g.refusals.get(Verdict.OFF, 0) < 3:
            pass
        assert len(turns) == before
        assert not g.preemptions

    run(main)


def test_checkpoint(run):
    """checkpoint() gives way once the slice is used up, and only then."""

    async def main(turns):
        most = 0
        for _ in range(3):
            before = len(turns)
            calls = 0
            while len(turns) == before:
                preemptio.checkpoint()
                calls += 1
                assert calls < limit()
            most = max(most, calls)
        assert most > 100  # of three: for a slice or two another process may have had the CPU
        assert asyncio.current_task().g.preemptions.keys() == {PreemptKind.SYNC}

    run(main)


def test_checkpoint_in_a_plain_function(run):
    """checkpoint() gives way in a function however deep below the task."""

    async def main(turns):
        def deep(n):
            if n:
                deep(n - 1)
                return
            before = len(turns)
            while len(turns) == before:
                preemptio.checkpoint()

        deep(50)

    run(main)


@pytest.mark.uninjected("how long a slice is by the clock")
def test_should_yield(run):
    """should_yield() says what checkpoint() would do: false at first, true when the slice is over, false after."""

    async def main(turns):
        await asyncio.sleep(0)
        assert not preemptio.should_yield()
        rounds = 0
        while not preemptio.should_yield():
            rounds += 1
            assert rounds < limit()
        before = len(turns)
        assert preemptio.should_yield()  # asking gives nothing away
        assert len(turns) == before
        preemptio.checkpoint()
        assert len(turns) > before
        assert not preemptio.should_yield()

    run(main)


def test_charge(run):
    """charge() gives way whenever a thousand units are counted, whatever the clock says."""

    async def main(turns):
        g = asyncio.current_task().g
        for _ in range(5):
            await asyncio.sleep(0)
            before, count = len(turns), sum(g.preemptions.values())
            preemptio.charge(400)
            preemptio.charge(599)
            assert sum(g.preemptions.values()) == count
            preemptio.charge(1)
            assert sum(g.preemptions.values()) == count + 1
            assert len(turns) > before
        with pytest.raises(ValueError, match="units"):
            preemptio.charge(-1)

    run(main)


def test_nopreempt(run):
    """Inside nopreempt() a checkpoint does not give way; behind the outermost region one does."""

    async def main(turns):
        g = asyncio.current_task().g
        before = len(turns)
        with preemptio.nopreempt("outer"):
            with preemptio.nopreempt("inner"):
                assert g.reason == "inner"
                preemptio.charge(5000)
            assert g.reason == "outer"
            preemptio.checkpoint()
            assert not preemptio.should_yield()
            assert len(turns) == before
        assert g.reason == ""
        preemptio.checkpoint()
        assert len(turns) > before

    run(main)


def test_the_mask_belongs_to_the_task(run):
    """A mask that is held across an await masks its own task only."""

    async def main(turns):
        inside, leave = asyncio.Event(), asyncio.Event()

        @preemptio.nopreempt("held")
        async def holder():
            inside.set()
            await leave.wait()
            before = len(turns)
            preemptio.charge(5000)
            assert len(turns) == before

        task = asyncio.create_task(holder())
        await inside.wait()
        assert task.g.locks == 1
        before = len(turns)
        preemptio.charge(1000)
        assert len(turns) > before
        leave.set()
        await task
        assert task.g.locks == 0

    run(main)


def test_checkpointed(run):
    """A function with @checkpointed gives way at its loops' back edges, and computes the same."""

    async def main(turns):
        with Flag() as flag:
            task = preemptio.go(preemptio.checkpointed(spin), flag)
            await parked(task)
        assert await task > 0
        assert task.g.preemptions.keys() == {PreemptKind.SYNC}

    run(main)


def test_in_a_callback(run):
    """In a plain callback of the loop a checkpoint does nothing, also when a slice is long over."""

    async def main(turns):
        done = asyncio.get_running_loop().create_future()

        def callback():
            before = len(turns)
            preemptio.charge(5000)
            for _ in range(200_000):
                preemptio.checkpoint()
            done.set_result(len(turns) - before)

        asyncio.get_running_loop().call_soon(callback)
        assert await done == 0

    run(main)
