"""`explain`, `G.why_not_preempted` and `lowlevel.counters`: what a user is told, wherever he asks."""

import asyncio
import bdb
import contextlib
import gc
import importlib
import re
import sys
import threading

import pytest
import structlog.testing
from greenlet import greenlet

import preemptio
from preemptio._config import KNOBS, config
from preemptio._core._reasons import Verdict
from preemptio._preempt._gcfence import FENCE
from preemptio.lowlevel import Explanation, G, Gstatus, PreemptKind, WaitReason, counters, current_g
from tests.behaviour._support import Flag, parked, spin, turns

pytestmark = [pytest.mark.loop, pytest.mark.uninjected("where exactly a task stands")]


def line_of(fn, below):
    """Return the place in a function that is so many lines below its `def`."""
    code = fn.__code__
    return f"{code.co_filename}:{code.co_firstlineno + below} in {code.co_qualname}"


def ask():
    return preemptio.explain()


def run(fn):
    """Run a function in a task's step, called by a coroutine of the user's."""

    async def main():
        return fn()

    return preemptio.run(main())


class TestWhereItIsCalled:
    """The caller's frame, in a task."""

    def test_the_users_own_code_is_safe(self):
        """Nothing to do; each frame out to the owner has its remark, and the frames beyond it none."""
        found = run(ask)
        assert (found.verdict, found.why, found.advice) == (Verdict.SAFE, Verdict.SAFE.doc, "")
        assert found.where == line_of(ask, 1)
        assert [(whose, remark) for _, whose, remark in found.frames] == [
            ("user", "may be stopped"),  # ask
            ("user", "owns the step"),  # main
        ]
        assert str(found).startswith(f"can be preempted: safe, at {found.where}\n")

    def test_it_names_the_frame_that_refuses(self):
        """Not the one that asked: the library's between it and the coroutine; and it goes on behind that."""

        def below():
            with contextlib.ExitStack() as stack:
                stack.callback(lambda: said.append(ask()))
            return said[0]

        said = []
        found = run(below)
        assert found.verdict is Verdict.STDLIB
        assert "contextlib.py:" in found.where
        assert found.advice == Verdict.STDLIB.advice
        remarks = [remark for _, _, remark in found.frames]
        assert remarks[:2] == ["may be stopped"] * 2  # ask, the lambda
        assert "refuses: stdlib" in remarks
        assert remarks[-2:] == ["may be stopped", "owns the step"]
        assert found.where in [row.where for row in found.frames if row.remark == "refuses: stdlib"]
        assert "refuses: stdlib" in str(found)

    def test_a_coroutine_of_asyncios_is_the_owner(self):
        """What is advised is not to allow the standard library, which cannot be done."""

        async def main():
            condition = asyncio.Condition()
            async with condition:
                await condition.wait_for(lambda: said.append(ask()) or True)

        said = []
        preemptio.run(main())
        assert said[0].verdict is Verdict.OWNER
        assert said[0].where.endswith("in Condition.wait_for")
        assert said[0].frames[-1].remark == "refuses: owner"
        assert said[0].advice == Verdict.STDLIB.advice

    def test_the_package_to_allow_is_named(self, site):
        """In the advice: what to type."""
        (site / "aware_lib.py").write_text("import asyncio\ndef call(fn):\n    return fn()\n")
        (site / "plain_lib.py").write_text("async def call(fn):\n    return fn()\n")
        importlib.invalidate_caches()
        aware, plain = importlib.import_module("aware_lib"), importlib.import_module("plain_lib")

        async def main():
            return aware.call(ask), await plain.call(ask)

        third, owner = preemptio.run(main())
        assert third.verdict is Verdict.THIRD_PARTY
        assert "PREEMPTIO_ALLOW=aware_lib" in third.advice
        assert owner.verdict is Verdict.OWNER
        assert "PREEMPTIO_ALLOW=plain_lib" in owner.advice

    def test_the_loops_own_knobs_count(self, site):
        """Those with which the loop was made: what is allowed there is safe."""
        (site / "aware_lib.py").write_text("import asyncio\nasync def call(fn):\n    return fn()\n")
        importlib.invalidate_caches()

        async def main():
            return await importlib.import_module("aware_lib").call(ask)

        with config.override(allow=("aware_lib",)):
            assert preemptio.run(main()).verdict is Verdict.SAFE
        assert preemptio.run(main()).verdict is Verdict.OWNER

    def test_a_mask_tells_its_reason(self):
        """And does not need the frames to be told; they are there all the same."""

        def region():
            with preemptio.nopreempt("two accounts"):
                return ask()

        found = run(region)
        assert (found.verdict, found.advice) == (Verdict.MASKED, Verdict.MASKED.advice)
        assert "two accounts" in found.why
        assert len(found.frames) == 3

    def test_a_held_lock_names_its_holder(self):
        """The frame whose `with` it is, and not the one that computes in it."""

        def holds():
            with lock:
                return ask()

        lock = threading.Lock()
        found = run(holds)
        assert (found.verdict, found.advice) == (Verdict.LOCK, Verdict.LOCK.advice)
        assert found.where == line_of(holds, 2)
        assert [row.remark for row in found.frames] == ["may be stopped", "refuses: lock", "owns the step"]

    def test_a_recursion_is_one_line(self):
        """With the number of its frames."""

        def deep(n):
            return deep(n - 1) if n else ask()

        found = run(lambda: deep(500))
        assert found.verdict is Verdict.SAFE
        assert [row.remark for row in found.frames][1] == "may be stopped, 501 times"
        assert len(found.frames) == 4

    def test_a_greenlet_of_its_own(self):
        """Has no owner: its stack ends before a coroutine."""
        assert run(lambda: greenlet(ask).switch()).verdict is Verdict.NO_OWNER

    def test_preemption_switched_off(self):
        """The loop's debug flag comes first."""
        with config.override(debug="asyncpreemptoff=1"):
            assert run(ask).verdict is Verdict.OFF

    def test_a_loop_without_a_tick(self):
        """Every rule agrees, and nobody asks them: the advice is a checkpoint."""
        with config.override(source="none"):
            found = run(ask)
        assert found.verdict is Verdict.SAFE
        assert "no tick" in found.why
        assert "preemptio.checkpoint()" in found.advice


@pytest.fixture
def site(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    yield site
    for name in ("aware_lib", "plain_lib"):
        sys.modules.pop(name, None)


class TestNoStep:
    """Where no task's step is: "no owner", whatever is on the stack."""

    def test_outside_any_loop(self):
        """It says that no loop of ours runs."""
        found = ask()
        assert found.verdict is Verdict.NO_OWNER
        assert found.where == line_of(ask, 1)
        assert "preemptio.run(main())" in found.why
        assert {row.remark for row in found.frames} == {"in no task's step"}

    def test_on_a_plain_loop(self):
        """A coroutine is there, and no G."""

        async def main():
            return ask()

        assert asyncio.run(main()).verdict is Verdict.NO_OWNER

    def test_in_a_callback(self):
        """Callbacks are not preempted."""

        async def main():
            done = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(lambda: done.set_result(ask()))
            return await done

        found = preemptio.run(main())
        assert found.verdict is Verdict.NO_OWNER
        assert "callback" in found.why
        assert found.advice == Verdict.NO_OWNER.advice

    def test_a_frame_of_nobodys(self):
        """A generator that no task runs."""
        generator = (n for n in range(3))

        async def main():
            return preemptio.explain(generator.gi_frame)

        found = preemptio.run(main())
        assert found.verdict is Verdict.NO_OWNER
        assert "no task" in found.why


def test_it_says_what_the_rules_say(make_loop):
    """For a frame of the running step the verdict is the ladder's, place for place; the caller's is the innermost."""

    def outer():
        return inner()

    def inner():
        g, rules = current_g(), asyncio.get_running_loop()._rules
        frame = sys._getframe()
        pairs = []
        while frame is not None:
            said = preemptio.explain(frame).verdict
            pairs.append((said, rules.verdict(g, frame, certain=True)))
            frame = frame.f_back
        return pairs

    async def main():
        return outer()

    pairs = preemptio.run(main(), loop_factory=make_loop)
    assert len(pairs) >= 3
    assert all(said is ruled for said, ruled in pairs)
    assert {Verdict.SAFE, Verdict.RUNTIME} <= {said for said, _ in pairs}  # ours are below main


@pytest.mark.asyncio
async def test_a_task_that_waits():
    """It has no CPU to be taken; the place is where it awaits, and the frames say who would refuse."""

    async def inner(event):
        await event.wait()

    async def outer(event):
        await inner(event)

    event = asyncio.Event()
    task = asyncio.create_task(outer(event))
    await turns(1)
    found = preemptio.explain(g=task.g)
    assert found.verdict is Verdict.NOT_RUNNING
    assert found.where.endswith("in Event.wait")
    assert str(WaitReason.EVENT) in found.why
    assert [row.remark for row in found.frames] == ["refuses: owner"]
    assert preemptio.explain(task.get_coro().cr_frame) == preemptio.explain(task.get_coro().cr_frame, task.g)
    assert preemptio.explain(task.get_coro().cr_frame).where == line_of(outer, 1)
    event.set()
    await task
    assert preemptio.explain(g=task.g).verdict is Verdict.NOT_RUNNING
    assert preemptio.explain(g=task.g).frames == ()


@pytest.mark.asyncio
async def test_a_task_that_is_parked():
    """It was preempted, which is the opposite of what was asked; the place is the user's and not the runtime's."""
    flag = Flag()
    with flag:
        task = preemptio.go(spin, flag)
        await parked(task)
        found = preemptio.explain(g=task.g)
        assert found.verdict is Verdict.NOT_RUNNING
        assert found.where.endswith("in spin")
        assert "was preempted" in found.why
        assert [row.remark for row in found.frames] == ["may be stopped", "owns the step"]
        assert task.g.status is Gstatus.RUNNABLE
        record = task.g._extra.parked
        assert preemptio.explain(record.standing_on.gr_frame).verdict is Verdict.NOT_RUNNING
    await task


@pytest.mark.asyncio
async def test_a_task_in_wait():
    """A plain function that stands in `preemptio.wait` says what for."""
    event = asyncio.Event()
    task = preemptio.go(lambda: preemptio.wait(event.wait()))
    await parked(task)
    found = preemptio.explain(g=task.g)
    assert found.verdict is Verdict.NOT_RUNNING
    assert "<lambda>" in found.where
    assert str(WaitReason.WAIT) in found.why
    event.set()
    await task


@pytest.mark.asyncio
async def test_from_another_thread():
    """A watchdog asks for the task that runs, by its G and by one of its frames: the answer is about that task."""
    flag, entered, found = Flag(), [], []
    me, g = sys._getframe(), current_g()

    def compute():
        entered.append(1)
        spin(flag)

    def watchdog():
        with flag:
            while not entered:
                pass
            found.extend([preemptio.explain(g=g), preemptio.explain(me), preemptio.explain()])

    thread = threading.Thread(target=watchdog)
    with preemptio.nopreempt("looked at"):
        thread.start()
        compute()
    thread.join()
    by_g, by_frame, own = found
    assert (by_g.verdict, by_frame.verdict) == (Verdict.MASKED, Verdict.MASKED)
    places = [row.where.partition(" in ")[2] for row in by_g.frames]
    assert places[-2:] == ["test_from_another_thread.<locals>.compute", "test_from_another_thread"]
    assert by_frame.where.endswith("in test_from_another_thread")
    assert own.verdict is Verdict.NO_OWNER


@pytest.mark.asyncio
async def test_the_verdict_of_another_threads_task():
    """Out of the loop's thread the rules are asked, too: a frame that stands in a call is judged by its owner."""
    flag, found = Flag(), []
    me, g = sys._getframe(), current_g()

    def watchdog():
        sys.settrace(lambda *_: None)  # the watchdog's own, which says nothing of the task
        with flag:
            for _ in range(1000):
                found[:] = [preemptio.explain(me, g)]
                if found[0].verdict is not Verdict.NOT_RUNNING:
                    break

    thread = threading.Thread(target=watchdog)
    thread.start()
    while not flag.stop:
        sum(range(10))
    thread.join()
    assert found[0].verdict in (Verdict.SAFE, Verdict.OPCODE)  # as the thread met it
    assert found[0].frames[0].remark == "owns the step"


def test_in_a_debugger():
    """The verdict is "tracer", as the tick's; the frames tell the rest."""

    def traced():
        before = sys.gettrace()
        sys.settrace(lambda *_: None)
        try:
            return ask()
        finally:
            sys.settrace(before)

    found = run(traced)
    assert (found.verdict, found.advice) == (Verdict.TRACER, Verdict.TRACER.advice)
    assert [row.remark for row in found.frames] == ["may be stopped"] * 2 + ["owns the step"]


def test_at_a_debuggers_prompt():
    """The place is where the program stands, and none of the frames is the debugger's."""
    said = []

    class Debugger(bdb.Bdb):
        def user_line(self, frame):
            said.append(prompt())
            self.set_continue()

    def prompt():
        return eval("preemptio.explain()")

    def compute():
        Debugger().set_trace()
        return 1

    before = sys.gettrace()
    try:
        run(compute)
    finally:
        sys.settrace(before)
    assert said[0].verdict is Verdict.TRACER
    assert said[0].where == line_of(compute, 2)
    assert [row.remark for row in said[0].frames] == ["may be stopped", "owns the step"]


def test_it_changes_nothing(make_loop):
    """Neither status, mask, request and counts of the G, nor the trace function, nor a fence that was torn down."""

    async def main():
        g = current_g()
        before = g.dump(), g.slices, sys.gettrace()
        ask()
        preemptio.explain(g=g)
        after = g.dump(), g.slices, sys.gettrace()
        with preemptio.nopreempt("no tick may put it back"):
            pass
        gc.callbacks.remove(FENCE._on_gc)
        torn = ask().verdict, FENCE._on_gc in gc.callbacks
        return before, after, torn, FENCE.closed()

    with config.override(source="none"):
        before, after, torn, closed = preemptio.run(main(), loop_factory=make_loop)
    assert before == after
    assert torn == (Verdict.GC, False)
    assert closed  # the first who asks in earnest is told, and it is put back


def test_the_record_is_frozen():
    """And has the fields that are promised."""
    found = ask()
    assert isinstance(found, Explanation)
    with pytest.raises(AttributeError):
        found.why = ""
    assert all(len(row) == 3 for row in found.frames)


class TestWhyNotPreempted:
    """What a G remembers of its refusals."""

    @pytest.mark.asyncio
    async def test_never(self):
        """A task that was not refused says so."""
        told = asyncio.create_task(asyncio.sleep(0)).g.why_not_preempted()
        assert str(told) == "it was never refused"
        assert (told.verdict, told.where, told.times, dict(told.counts), told.advice) == (None, "", 0, {}, "")

    @pytest.mark.asyncio
    async def test_the_last_refusal(self):
        """Verdict, place, how often, when, and the counts, as text and as fields."""
        g = current_g()
        with preemptio.nopreempt("hog"):  # whatever runs in it, this is the verdict
            refusals = g.refusals
            for _ in range(50_000_000):
                if refusals.get(Verdict.MASKED, 0) >= 2:
                    break
            told = g.why_not_preempted()
        assert told.verdict is Verdict.MASKED
        assert told.times == told.counts[Verdict.MASKED] >= 2
        assert 0 <= told.ago < 60
        for part in ("masked", told.where, Verdict.MASKED.doc, Verdict.MASKED.advice, f"masked {told.times}"):
            assert part in str(told)
        with pytest.raises(TypeError):
            told.counts[Verdict.MASKED] = 0

    @pytest.mark.asyncio
    async def test_the_place_and_a_copy(self):
        """The line is that of the instruction; what was told does not change when the G is refused again."""
        event = asyncio.Event()
        task = asyncio.create_task(event.wait())
        await turns(1)  # it waits
        extra, code = task.g.extra(), ask.__code__
        lasti = next(start for start, _, line in code.co_lines() if line == code.co_firstlineno + 1)
        extra.refusals[Verdict.OWNER] = 1
        extra.last_refusal = Verdict.OWNER, code, lasti, 0.0
        told = task.g.why_not_preempted()
        extra.refusals[Verdict.OWNER] = 2
        assert (told.verdict, told.where, told.times) == (Verdict.OWNER, line_of(ask, 1), 1)
        assert told.counts == {Verdict.OWNER: 1}
        event.set()
        await task
        assert task.g.why_not_preempted().times == 2

    def test_a_waiting_task_pays_nothing(self):
        """The last refusal is in the rare half: the other has no field for it."""
        assert "last_refusal" not in G.__slots__


class TestCounters:
    """What a loop's tick has done."""

    @pytest.mark.asyncio
    async def test_refusals_and_preemptions(self):
        """They are the sums of what the Gs count, and only grow."""
        before, flag = counters(), Flag()
        g = current_g()
        with preemptio.nopreempt("hog"):
            refusals = g.refusals
            for _ in range(50_000_000):
                if refusals.get(Verdict.MASKED, 0) >= 2:
                    break
        with flag:
            task = preemptio.go(spin, flag)
            await parked(task)
        await task
        after = counters()
        masked = after.refusals[Verdict.MASKED] - before.refusals.get(Verdict.MASKED, 0)
        assert masked == g.refusals[Verdict.MASKED] >= 2
        taken = {kind: n - before.preemptions.get(kind, 0) for kind, n in after.preemptions.items()}
        assert sum(taken.values()) >= sum(task.g.preemptions.values()) >= 1
        assert set(taken) <= set(PreemptKind)
        assert (
            before.refusals.get(Verdict.MASKED, 0) + masked
            == counters(asyncio.get_running_loop()).refusals[Verdict.MASKED]
        )

    def test_they_survive_a_run(self, make_loop):
        """They belong to the loop and are never reset; another loop has its own."""
        loop, other = make_loop(), make_loop()

        async def main():
            refusals = None
            with preemptio.nopreempt("hog"):
                refusals = current_g().refusals
                for _ in range(50_000_000):
                    if refusals.get(Verdict.MASKED, 0) >= 1:
                        return

        try:
            for least in (1, 2):
                loop.run_until_complete(main())
                assert counters(loop).refusals[Verdict.MASKED] >= least
            assert dict(counters(other).refusals) == {}
        finally:
            loop.close()
            other.close()

    def test_no_loop(self):
        """Where there is none it says what to type."""
        with pytest.raises(preemptio.NotInstalledError, match=r"preemptio\.run"):
            counters()

    def test_a_foreign_loop(self):
        """A loop without the runtime has no tick."""
        loop = asyncio.new_event_loop()
        try:
            with pytest.raises(preemptio.NotInstalledError):
                counters(loop)
        finally:
            loop.close()


def test_the_log_gives_the_same_advice(site, make_loop):
    """A coroutine of a library that computes is reported once, with the package to type."""
    (site / "plain_lib.py").write_text(
        "async def hog(refusals):\n"
        "    for _ in range(50_000_000):\n"
        "        if sum(refusals.values()) > 20:\n"
        "            return\n"
    )
    importlib.invalidate_caches()
    hog = importlib.import_module("plain_lib").hog

    async def main():
        current_g().extra()  # so that `refusals` is its own
        await hog(current_g().refusals)
        await turns(5)

    with structlog.testing.capture_logs() as said:
        preemptio.run(main(), loop_factory=lambda: make_loop(slice=0.0002))
    (entry,) = [entry for entry in said if entry["event"] == "task cannot be preempted"]
    verdict = Verdict(entry["verdict"])
    assert verdict in (Verdict.OWNER, Verdict.OPCODE, Verdict.RUNTIME)  # by where the tick met it: the last in a search
    assert entry["advice"] == verdict.advice_for("plain_lib")


def test_every_advice_is_one_that_can_be_typed():
    """The calls, variables and decorators that an advice names exist."""
    text = " ".join(verdict.advice for verdict in Verdict)
    for name in set(re.findall(r"preemptio\.(\w+)", text)):
        assert hasattr(preemptio, name), name
    known = {knob.env for knob in KNOBS}
    assert set(re.findall(r"PREEMPTIO_\w+", text)) <= known
    assert hasattr(G, "why_not_preempted")
