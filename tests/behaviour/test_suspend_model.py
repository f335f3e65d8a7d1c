"""Suspend, resume, cancel, wake, finish and preempt, by tasks and threads in any order, against a reference model.

The model is a few lines: who has how many shares of whom, and what each target would do next if nobody held it. After
each act the loop turns until nothing moves, and all that can be seen has to be as the model says:

- a G has the scan bit exactly while somebody has a share of it, and as many readers as there are shares;
- one that is held does nothing; one that is let go does what it was woken for, once, in the order of the resumes;
- a wake-up that came while it was held is not lost, nor is a request for one that was masked;
- a suspension of one that has ended says dead, and of one that has not it is a valid hold;
- nobody is left held at the end, everybody ends, and no transition was refused on the way.
"""

import asyncio

import pytest
import structlog.testing
from hypothesis import HealthCheck, Phase, example, given, settings, strategies as st

import preemptio
from tests.behaviour._support import Flag, spin

pytestmark = pytest.mark.loop

WAITERS = ("a", "b", "c")
HOG = "hog"
TARGETS = (*WAITERS, HOG)
HOLDERS = ("driver", "helper", "thread")

ACTS = st.one_of(
    st.tuples(st.sampled_from(["suspend", "suspend", "resume"]), st.sampled_from(HOLDERS), st.sampled_from(TARGETS)),
    st.tuples(st.just("resume all"), st.sampled_from(HOLDERS), st.none()),
    st.tuples(st.sampled_from(["wake", "wake", "cancel", "finish"]), st.none(), st.sampled_from(WAITERS)),
    st.tuples(st.just("preempt"), st.none(), st.just(HOG)),
    st.tuples(st.just("end"), st.just("helper"), st.none()),
)


class Expected:
    """One target, as the model has it."""

    def __init__(self):
        self.shares = dict.fromkeys(HOLDERS, 0)
        self.pending = None  # what it does as soon as it may
        self.dead = False

    @property
    def readers(self):
        return sum(self.shares.values())


class Run:
    """One generated program."""

    def __init__(self):
        self.model = {name: Expected() for name in TARGETS}
        self.expected = []  # what the targets have said, according to the model
        self.said = []
        self.futures = {}
        self.tasks = {}
        self.states = {(holder, name): [] for holder in HOLDERS for name in TARGETS}
        self.kept = []  # by whoever has them: they do not end because nobody refers to them
        self.flag = Flag()
        self.count = 0

    async def target(self, name):
        try:
            while True:
                self.futures[name] = asyncio.get_running_loop().create_future()
                got = await self.futures[name]
                self.said.append((name, got))
                if got == "finish":
                    return
        except asyncio.CancelledError:
            self.said.append((name, "cancel"))
            raise

    async def helper(self):
        """Do what is asked for, until it is told to end: with whatever it holds by then."""
        while (fn := await self.commands.get()) is not None:
            await fn()
            self.answered.set()

    def go(self, *names):
        """Let the model's targets do what they can, in this order."""
        for name in names:
            each = self.model[name]
            if each.pending is not None and not each.readers:
                self.expected.append((name, each.pending))
                each.dead = each.pending in ("finish", "cancel")
                each.pending = None

    async def by(self, holder, fn):
        if holder == "helper":
            self.answered.clear()
            self.commands.put_nowait(fn)
            await self.answered.wait()
        else:
            await fn()

    async def suspend(self, holder, name):
        async def fn():
            task = self.tasks[name]
            if holder == "thread":
                state = await preemptio.blocking(preemptio.suspend_g_threadsafe, task)
            else:
                state = await preemptio.suspend_g(task)
            assert state.dead == self.model[name].dead
            assert state.g.suspended == (not state.dead)
            if not state.dead:
                self.states[holder, name].append(state)
                self.model[name].shares[holder] += 1

        await self.by(holder, fn)

    async def resume(self, holder, *names):
        let_go = []
        for name in names:
            if self.states[holder, name]:
                state = self.states[holder, name].pop()
                if holder == "thread":
                    await preemptio.blocking(preemptio.resume_g, state)
                else:
                    preemptio.resume_g(state)
                self.model[name].shares[holder] -= 1
                let_go.append(name)
        self.go(*let_go)

    async def wake(self, name, what):
        self.count += 1
        value = "finish" if what == "finish" else self.count
        each = self.model[name]
        if each.dead:
            return
        if what == "cancel":
            self.tasks[name].cancel()
            each.pending = "cancel"
        elif not self.futures[name].done():
            assert each.pending is None
            self.futures[name].set_result(value)
            each.pending = value
        self.go(name)

    async def end(self):
        """End the helper, which gives back what it holds; begin another."""
        self.commands.put_nowait(None)
        await self.tasks["helper"]
        names = [name for name in TARGETS if self.model[name].shares["helper"]]
        for name in names:
            self.model[name].shares["helper"] = 0
            self.kept += self.states["helper", name]
            self.states["helper", name].clear()
        await self.settle()
        assert all(state.over for state in self.kept)
        before = len(self.expected)
        self.go(*names)
        after = self.said[before:]
        assert sorted(after, key=str) == sorted(self.expected[before:], key=str)
        self.expected[before:] = after  # in the order in which they were given back
        self.tasks["helper"] = asyncio.create_task(self.helper())

    async def preempt(self):
        """The hog gets the CPU, and loses it, if nobody holds it."""
        g = self.tasks[HOG].g
        slices = g.slices, sum(g.preemptions.values())
        if self.model[HOG].readers:
            await asyncio.sleep(0.002)
            assert (g.slices, sum(g.preemptions.values())) == slices
        else:
            while sum(g.preemptions.values()) == slices[1]:
                await asyncio.sleep(0)

    async def settle(self):
        for _ in range(8):
            await asyncio.sleep(0)

    async def act(self, what, holder, name):
        if what == "suspend":
            await self.suspend(holder, name)
        elif what == "resume":
            await self.resume(holder, name)
        elif what == "resume all":
            await self.resume(holder, *(each for each in TARGETS for _ in range(self.model[each].shares[holder])))
        elif what == "preempt":
            await self.preempt()
        elif what == "end":
            await self.end()
        else:
            await self.wake(name, what)
        await self.settle()
        self.check()

    def check(self):
        assert self.said == self.expected
        for name, each in self.model.items():
            task = self.tasks[name]
            hold = task.g._extra.hold
            assert task.g.suspended == task.g.status.scanned == bool(each.readers), name
            assert (hold.readers if hold else 0) == each.readers, name
            assert task.done() == each.dead, name

    async def main(self, acts):
        loop = asyncio.get_running_loop()
        refused = []
        loop.set_exception_handler(lambda _loop, context: refused.append(context))
        self.commands, self.answered = asyncio.Queue(), asyncio.Event()
        self.tasks = {name: asyncio.create_task(self.target(name), name=name) for name in WAITERS}
        self.tasks[HOG] = preemptio.go(spin, self.flag)
        self.tasks["helper"] = asyncio.create_task(self.helper())
        with self.flag:
            await self.settle()
            for act in acts:
                await self.act(*act)
            for holder in HOLDERS:
                await self.act("resume all", holder, None)
            for name in WAITERS:
                await self.act("finish", None, name)
        await self.tasks[HOG]
        self.commands.put_nowait(None)
        await self.tasks["helper"]
        assert not loop._p.holds
        assert not loop._suspends._kept
        assert refused == []
        await asyncio.wait([self.tasks[name] for name in WAITERS])


@pytest.mark.uninjected("how often the loop has to turn until nothing moves")
def test_any_order(make_loop):
    """Whatever comes, in whatever order."""

    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),  # a G that is lost takes seconds to give up, each time
    )
    @example(
        [("suspend", "driver", name) for name in WAITERS]
        + [("wake", None, name) for name in reversed(WAITERS)]
        + [("resume all", "driver", None)]
    )
    @example([("suspend", "helper", "a"), ("wake", None, "a"), ("cancel", None, "a"), ("end", "helper", None)])
    @example(
        [("suspend", "thread", HOG), ("suspend", "driver", HOG), ("resume", "thread", HOG), ("preempt", None, HOG)]
    )
    @given(st.lists(ACTS, min_size=4, max_size=25))
    def run(acts):
        with structlog.testing.capture_logs() as said:
            preemptio.run(Run().main(acts), loop_factory=make_loop)
        assert {entry["event"] for entry in said} <= {"suspended task was not resumed"}

    run()
