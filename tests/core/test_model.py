"""A model of the scheduler: random programs on real processors, Gs and carriers, against the rules they must obey.

A step is a plan, a list of actions. Each action says to the model what it is about to do before it does it, so the
model knows where each G has to be without asking the processor. After each rule the two are compared.
"""

import contextvars
import itertools
from collections import Counter, deque
from types import SimpleNamespace

import pytest
from greenlet import GreenletExit, getcurrent, greenlet
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from preemptio._core import _guard, _processor
from preemptio._core._carrier import POOL
from preemptio._core._current import set_current_processor
from preemptio._core._g import new_g
from preemptio._core._gstatus import Gstatus
from preemptio._core._guard import checkpoint
from preemptio._core._headroom import CannotLeaveError
from preemptio._core._hold import claim, release
from preemptio._core._kill import kill
from preemptio._core._parked import Parked
from preemptio._core._processor import Processor
from preemptio._core._reasons import PreemptKind
from preemptio._core._step import ready, run_step

# Where a G can be, and the status that it must have there.
STATUS = {
    "new": Gstatus.IDLE,
    "waiting": Gstatus.WAITING,  # at an await
    "queued": Gstatus.RUNNABLE,  # a step in the host's queue
    "deferred": Gstatus.RUNNABLE,  # a step of the background class in the parked queue
    "blocked": Gstatus.RUNNABLE,  # a step whose context a parked step has entered
    "parked": Gstatus.RUNNABLE,  # preempted, in the parked queue
    "stopped": Gstatus.PREEMPTED,  # preempted, for a suspender
    "standing": Gstatus.WAITING,  # in preemptio.wait
    "ready again": Gstatus.RUNNABLE,  # its wait is over, or it yielded in it: in the host's queue
    "kept": Gstatus.RUNNABLE,  # its turn came while it was held: in its hold
    "kept step": Gstatus.RUNNABLE,
    "woken": Gstatus.WAITING,  # what it waits for came while it was held: in its hold
    "woken step": Gstatus.WAITING,
    "dead": Gstatus.DEAD,
}
OFF_ITS_CARRIER = {"parked", "stopped", "standing", "ready again", "kept", "woken"}


class Context:
    """A context as a host may wrap it. contextvars.Context itself cannot be the key of a dictionary."""

    def __init__(self):
        self.entered = contextvars.Context()
        self.run = self.entered.run


class Task:
    """What the processor believes to be an asyncio task."""

    def __init__(self, context, background):
        self.g = new_g(self, None, -1)
        self.g.extra().background = self.g.extra().aside = background
        self.hold = None  # while somebody holds it
        self.owed = False  # it has stopped for whoever holds it
        self.context = context
        self.state = "new"
        self.over = False
        self.record = None  # where it stands
        self.stops = self.resumptions = self.steps = self.started = 0

    def get_name(self):
        return "task"

    def get_coro(self):
        return None


class Step:
    """One step of a task: `run` is what asyncio calls."""

    def __init__(self, model, task, actions):
        self.model, self.task = model, task
        self.plan = deque((next(model.number), action) for action in actions)
        model.planned.update(number for number, _ in self.plan)

    def done(self):
        return self.task.over

    def run(self):
        task, model = self.task, self.model
        assert task.state == "queued"
        task.state = "running"
        task.started += 1
        model.running = task
        after = "waiting"
        try:
            while self.plan and after == "waiting":
                number, action = self.plan.popleft()
                model.done[number] += 1
                model.check_running()
                after = getattr(model, f"do_{action}")(task) or "waiting"
                assert after != "waiting" or model.check_running()
        except GreenletExit:  # as asyncio's task does: it keeps the exception, and is done
            after = "dead"
        finally:
            model.done.update(number for number, _ in self.plan)  # what a step that ends early skips
            task.over = after in {"dead", "interrupted"}
            task.state = {"queued": "queued", "waiting": "waiting", "failed": "waiting"}.get(after, "dead")
            model.entered.pop(task.context, None)
            model.running = None
        if after == "queued":
            model.queue_step(task, [])
        elif after == "failed":
            raise RuntimeError  # like Context.run's, but from within
        elif after == "interrupted":
            raise KeyboardInterrupt


class Host:
    """The queue of a loop, which tells the model what passes."""

    def __init__(self, model):
        self.model = model
        self.queue = deque()
        self.taken = 0

    def drain(self, carrier):
        p = self.model.p
        assert p.carrier is carrier
        while self.queue:
            item = self.queue.popleft()
            self.taken += 1
            if type(item) is not tuple:
                p.handoff = item
                return
            if self.run(p, item):
                assert p.attention
                return
            assert not carrier.detached

    def run(self, p, item):
        task = item[0].task
        if task.hold:
            task.state = "kept step"
            return run_step(p, item)
        blocked = task.context in self.model.entered
        try:
            return run_step(p, item)
        except BaseException as exc:
            only_waits = p.step_raised(item, exc)
            assert only_waits == blocked
            if isinstance(exc, KeyboardInterrupt):
                raise
            if blocked:
                task.state = "blocked"
                self.model.waiting_for.setdefault(task.context, []).append(task)
            return p.attention

    def kept_back(self, g):
        pass

    def enqueue(self, item):
        if type(item) is tuple:
            self.model.queued_again(item[0].task)
        else:
            item.g.task.state = "ready again"
        self.queue.append(item)

    def runs(self, _g):
        return False

    def leave(self):
        self.model.running, task = None, self.model.running
        return task

    def enter(self, token):
        self.model.resumed(token)

    def innermost_g(self):
        return None

    def arm(self):
        self.model.p.armed = True

    def kick(self):
        self.model.kicks += 1

    def backlog(self):
        return len(self.queue)


class Model(RuleBasedStateMachine):
    """What the model knows, and the actions of a step."""

    @initialize()
    def start(self):
        """Begin with a clock that stands: parked Gs of one class then run first in, first out."""
        stands = SimpleNamespace(thread_time=lambda: 0.0, monotonic=lambda: 0.0)
        self.time, _processor.time = _processor.time, stands
        self.host = Host(self)
        self.p = Processor(self.host, 0.005, 1)
        self.p.begin()
        self.before = set_current_processor(self.p)
        self.tasks = []
        self.shared = Context()
        self.running = None  # the task whose step runs
        self.fair = []  # what is in the parked queue, in order of arrival
        self.chosen = None  # the task that was taken from the parked queue
        self.kicks = self.pushes = 0
        self.entered = {}  # context -> the task that stands in it
        self.waiting_for = {}  # context -> tasks whose steps wait for it, in order
        self.number = itertools.count()
        self.planned, self.done = Counter(), Counter()  # actions

    def queue_step(self, task, actions):
        step = Step(self, task, actions)
        task.steps += 1
        ready(task.g)
        item = (task.g, step.run, (), task.context)
        if task.hold:
            task.state = "woken step"
            self.p.queue_aside(item)
        elif task.g.background:
            self.defers(task)
            self.p.queue_aside(item)
        else:
            task.state = "queued"
            self.host.queue.append(item)

    def defers(self, task):
        task.state = "deferred"
        self.fair.append(task)
        self.pushes += 1

    def queued_again(self, task):
        if task.state in {"kept step", "woken step"}:
            assert not task.hold
        elif task.state == "blocked":
            assert task.context not in self.entered
            assert self.waiting_for[task.context].pop(0) is task
        else:
            assert (task.state, task) == ("deferred", self.chosen)
        task.state = "queued"

    def resumed(self, task):
        assert task.state in {"parked", "ready again"}
        assert task.state == "ready again" or task in {self.chosen, self.killed}
        task.state = "running"
        task.resumptions += 1
        self.running = task

    killed = None

    def check_running(self):
        """I1, I2 and I4, from within a step."""
        p, task = self.p, self.running
        here = getcurrent()
        while here is not None and here is not p.carrier:
            here = here.parent
        assert here is p.carrier is not None
        assert p.curg is task.g
        assert (task.state, task.g.status) == ("running", Gstatus.RUNNING)
        assert p.carrier.detached == (task.context in self.entered)
        assert p.attention or not (p.carrier.detached or task.g.preempt)
        return True

    def stops(self, task, state):
        """Note that the running step is about to leave its carrier."""
        task.state = state
        task.stops += 1
        self.entered[task.context] = task
        if state == "parked":
            self.fair.append(task)
            self.pushes += 1

    # -- actions --

    def do_request(self, task):
        self.p.request(task.g)

    def do_preempt(self, task):
        self.stops(task, "stopped" if task.g.preempt_stop else "parked")
        exc = self.p.preempt(task.g, PreemptKind.SYNC)
        if exc is not None:
            raise exc
        assert not task.g.preempt

    def do_checkpoint(self, task):
        if task.g.preempt:
            self.stops(task, "stopped" if task.g.preempt_stop else "parked")
        checkpoint()
        assert not task.g.preempt

    def do_nested(self, task):
        """Be asked in a greenlet of the step's own, as SQLAlchemy has them: it must not leave the carrier by itself."""

        def ask():
            with pytest.raises(CannotLeaveError):
                self.p.preempt(task.g, PreemptKind.SYNC)

        greenlet(ask).switch()

    def do_park(self, task):
        self.stops(task, "standing")
        self.p.stand(self.p.park(task.g))

    def do_goyield(self, task):
        self.stops(task, "standing")
        self.p.stand(self.p.goyield(task.g))

    def do_yield(self, _task):
        return "queued"

    def do_fail(self, _task):
        return "failed"

    def do_exit(self, _task):
        return "dead"

    def do_interrupt(self, _task):
        return "interrupted"


STAY = ["request", "preempt", "checkpoint", "nested", "park", "goyield"]
LEAVE = ["yield", "fail", "exit", "interrupt"]
PLANS = strategies.builds(
    lambda stay, leave: stay + leave,
    strategies.lists(strategies.sampled_from(STAY), max_size=4),
    strategies.lists(strategies.sampled_from(LEAVE), max_size=1),
)


class Scheduler(Model):
    """The rules, what must hold after each, and the end."""

    def pick(self, data, states):
        found = [task for task in self.tasks if task.state in states]
        return data.draw(strategies.sampled_from(found)) if found else None

    @precondition(lambda self: len(self.tasks) < 8)
    @rule(shared=strategies.booleans(), background=strategies.booleans(), stop=strategies.booleans(), plan=PLANS)
    def create(self, shared, background, stop, plan):
        """Start a task, in a context of its own or in the shared one; it may be asked to stop before it begins."""
        task = Task(self.shared if shared else Context(), background)
        task.g.extra().preempt_stop = stop
        self.tasks.append(task)
        self.queue_step(task, plan)

    @rule(data=strategies.data(), plan=PLANS)
    def wake(self, data, plan):
        """Queue the next step of a task that waits."""
        task = self.pick(data, {"waiting"})
        if task:
            self.queue_step(task, plan)

    @rule()
    def run_batch(self):
        """Let a carrier drain the queue, unless it is interrupted."""
        queued, self.host.taken = len(self.host.queue), 0
        try:
            self.p.run_batch()
        except KeyboardInterrupt:
            assert any(task.over for task in self.tasks)
        assert self.host.taken >= min(queued, 1)
        self.kept()

    def kept(self):
        """Note whose turn came while it was held: the processor has put the record aside."""
        for task in self.tasks:
            if task.hold and task.state in {"ready again", "parked"} and task.hold.deferred:
                task.state = "kept"

    @precondition(lambda self: self.fair)
    @rule()
    def resume_parked(self):
        """Run the one that came first, of the background class only when there is no other."""
        self.chosen = min(self.fair, key=lambda task: task.g.background)
        self.fair.remove(self.chosen)
        was, resumptions = self.chosen.state, self.chosen.resumptions
        try:
            self.p.resume_parked()
        except KeyboardInterrupt:
            assert self.chosen.over
        self.kept()
        assert self.chosen.resumptions == resumptions + (was == "parked" and not self.chosen.hold)

    @rule(data=strategies.data())
    def unpark(self, data):
        """Complete what a task stands for."""
        task = self.pick(data, {"standing"})
        if task and not task.owed:
            if task.hold:
                task.state = "woken"
            self.p.unpark(self.p.standing[task.g])

    @rule(data=strategies.data())
    def suspend(self, data):
        """Ask a task to stop at its next preemption, or take it back."""
        task = self.pick(data, {"queued", "parked"}) or self.pick(data, STATUS)
        if task:
            task.g.extra().preempt_stop = not task.g.preempt_stop

    @rule(data=strategies.data())
    def hold(self, data):
        """Hold a task: works wherever it does not run; a second reader shares the hold of the first."""
        task = self.pick(data, {"stopped"}) or self.pick(data, OFF_ITS_CARRIER) or self.pick(data, STATUS)
        if task:
            hold = claim(self.p, task.g)
            assert (hold is None) == (task.state in {"new", "dead"})
            assert task.hold in {None, hold}
            if hold is not None:
                assert hold.stopped == (task.owed or task.state == "stopped")
                if task.state == "stopped":
                    task.state, task.owed = "standing", True
                task.hold = hold

    @rule(data=strategies.data())
    def let_go(self, data):
        """Let one reader go; the last one lets the task go on, with what had come meanwhile."""
        found = [task for task in self.tasks if task.hold]
        if found:
            self.release(data.draw(strategies.sampled_from(found)))

    def release(self, task):
        hold = task.hold
        if hold.readers == 1:
            task.hold = None
            self.going_on(task)
        release(self.p, task.g, hold)

    def going_on(self, task):
        """Say where a task must be once it is not held any more."""
        if task.owed:
            task.owed, task.state = False, "parked"
            self.fair.append(task)
            self.pushes += 1
        elif task.state in {"kept step", "woken step"} and task.g.background:
            self.defers(task)

    @rule(data=strategies.data())
    def kill(self, data):
        """End a step that stands off its carrier, as a loop that closes does."""
        task = self.pick(data, OFF_ITS_CARRIER)
        if task:
            if task.hold:
                task.hold = None
                self.going_on(task)
            if task.state == "parked":
                self.fair.remove(task)
            self.killed, task.state = task, "ready again"
            assert kill(self.p, self.p.standing[task.g])
            self.killed = None
            assert task.state == "dead"

    @rule()
    def stop_loop(self):
        """End the idle carriers, as a loop does that stops running."""
        self.p.end()
        assert not self.p.idle

    @invariant()
    def agree(self):
        """The processor has every G where the model has it, and I1 to I5 hold in the hub."""
        if not hasattr(self, "p"):
            return
        p = self.p
        assert (p.carrier, p.step, p.curg, p.handoff, p.asked, p.attention) == (None, None, None, None, None, False)
        assert [t.g.status.base for t in self.tasks] == [STATUS[t.state] for t in self.tasks]
        assert [t.g.status.scanned for t in self.tasks] == [bool(t.hold) for t in self.tasks]
        assert p.holds == {task.g: task.hold for task in self.tasks if task.hold}
        assert all(t.g._extra.aside == bool(t.hold or t.g.background) for t in self.tasks)
        assert not any(task.g.preempt for task in self.tasks)
        assert not _guard._poisoned
        assert self.places() == {task.g: task.state for task in self.tasks if task.state in EXPECTED}
        assert {g: record.g for g, record in p.standing.items()} == {
            task.g: task.g for task in self.tasks if task.state in OFF_ITS_CARRIER
        }
        assert all(task.g.parked == (task.state in OFF_ITS_CARRIER) for task in self.tasks)
        assert set(p.blocked_contexts) == {id(context.entered) for context in self.entered}
        assert all(self.entered[t.context] is t for t in self.tasks if t.state in OFF_ITS_CARRIER)
        assert self.kicks == self.pushes
        assert len(p.idle) <= POOL
        assert not any(carrier.detached or carrier.dead for carrier in p.idle)

    def places(self):
        """Look for each G that somebody owes the CPU, in everything that the processor and the host keep."""
        found = [(self.of(item), "ready again" if isinstance(item, Parked) else "queued") for item in self.host.queue]
        heap = self.p.parked.entries()
        found += [(self.of(item), "parked" if isinstance(item, Parked) else "deferred") for item in heap]
        found += [(task.g, "blocked") for tasks in self.waiting_for.values() for task in tasks]
        for task in self.tasks:
            for item in task.hold.deferred if task.hold else ():
                assert self.of(item) is task.g
                found.append((task.g, task.state))
        found = [(g, state) for g, state in found if g is not None]
        assert len(found) == len(dict(found))  # exactly one party owes it the CPU
        for context, tasks in self.waiting_for.items():
            assert len(tasks) == len(self.p.blocked_contexts.get(id(context.entered), ()))
        return dict(found)

    def of(self, item):
        """Return the G of an entry, or None if its loop has killed it: then nobody may run it."""
        if isinstance(item, Parked):
            return None if item.killed else item.g
        return item[0]

    def teardown(self):
        """Run everything to its end: no step was lost or ran twice, and each stop was followed by one resumption."""
        if not hasattr(self, "p"):
            return
        try:
            while any(task.state in EXPECTED or task.state in OFF_ITS_CARRIER for task in self.tasks):
                self.push_on()
                self.agree()
            assert set(self.planned.values()) | set(self.done.values()) <= {1}
            assert self.planned == self.done
            assert all(task.steps == task.started for task in self.tasks)
            assert all(task.stops == task.resumptions for task in self.tasks)
        finally:
            self.p.end()
            _processor.time = self.time
            set_current_processor(self.before)

    def push_on(self):
        for task in self.tasks:
            task.g.extra().preempt_stop = False
            if task.state == "stopped":
                task.state, task.owed = "standing", True
                task.hold = claim(self.p, task.g)
            if task.hold:
                while task.hold:
                    self.release(task)
            elif task.state == "standing":
                self.p.unpark(self.p.standing[task.g])
        self.run_batch()
        if self.fair:
            self.resume_parked()


EXPECTED = {"queued", "deferred", "blocked", "parked", "ready again", "kept", "kept step", "woken", "woken step"}

TestScheduler = Scheduler.TestCase
TestScheduler.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
