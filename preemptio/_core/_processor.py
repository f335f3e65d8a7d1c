"""Processor: the scheduler of one event loop (Go's P), and the switching between its hub and its carriers.

The hub is the greenlet in which the base loop runs. It never runs a task step: it hands the CPU to a carrier, which
drains a batch of steps (`run_batch`), or to a parked step, which goes on where it stands (`resume`). Control is
back in the hub when the batch is over, when a step was parked, or when a carrier died of a BaseException that must
end the loop. Everything that a step can do to give up the CPU ends in `_stand`: the one place that leaves a carrier
in the middle of a step.

Invariants.
  I1  At most one carrier runs; `carrier` names it, and is None exactly while the hub runs.
  I2  `step` is the step that the current carrier executes, None outside of steps; `curg` is derived from it.
  I3  A parked G is RUNNABLE and in the parked queue, or WAITING in `preemptio.wait`, or PREEMPTED for a suspender:
      exactly one party owes it the CPU.
  I4  `attention` is set whenever the running carrier must return to the hub after its step: it stands for a step
      that was parked before, a request was made, or a tick says that the batch was long. Only the hub clears it.
  I5  A context that a parked step has entered cannot be entered by another step until that step ends; steps that
      want it wait in `blocked_contexts`, in order.

Context: hub and carriers; `request` and `preempt` also in the tick handler. Always the loop's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from greenlet import GreenletExit, getcurrent, greenlet

from preemptio._core import _guard
from preemptio._core._accounts import metered
from preemptio._core._carrier import Carrier
from preemptio._core._contexts import BlockedContexts
from preemptio._core._gstatus import (
    LEAKED,
    RUNNABLE,
    RUNNING,
    SCANSYSCALL,
    SYSCALL,
    WAITING,
    cas_from_scan,
    cas_gstatus,
    cas_to_preempt_scan,
)
from preemptio._core._headroom import CannotLeaveError, require_headroom
from preemptio._core._hold import Hold, defer
from preemptio._core._instruments import Instruments
from preemptio._core._parked import NICE_WEIGHT, Parked, ParkedQueue, Step, entered_context
from preemptio._core._probe import probed
from preemptio._core._step import settle_failed

if TYPE_CHECKING:
    from preemptio._core._g import BlockedAt, G
    from preemptio._core._host import Host
    from preemptio._core._reasons import PreemptKind


class Processor:
    """One event loop's scheduler."""

    __slots__ = (
        "__weakref__",
        "active",
        "armed",
        "asked",
        "attention",
        "batch_began",
        "blocked_contexts",
        "born",
        "budget",
        "carrier",
        "check_at",
        "clock_start",
        "clock_tick",
        "clocked",
        "cpu_mark",
        "fence",
        "handoff",
        "holds",
        "host",
        "hub",
        "idle",
        "instruments",
        "ncreated",
        "now",
        "nparked_ever",
        "parked",
        "preemptions",
        "resumed_at",
        "schedtick",
        "seen",
        "settled",
        "slice",
        "standing",
        "step",
        "unmetered",
        "watch_at",
        "watch_turns",
    )

    def __init__(self, host: Host, slice_seconds: float, budget: int) -> None:
        """Make a processor for `host` with this slice (seconds) and batch budget (steps)."""
        self.host = host
        self.slice = slice_seconds
        self.budget = budget
        # The hot fields. Written by run_step, or by the host once a turn.
        self.step: Step | None = None
        self.schedtick = 0  # steps and resumptions so far; the identity of the one that runs
        self.attention = False
        self.watch_at = 0  # schedtick of the next step that instruments are told of; writer: Instruments
        self.watch_turns = False  # whether they are told of turns; writer: Instruments
        self.now = 0.0  # monotonic time of the last turn
        self.armed = False  # the tick source runs; writers: the tick and the host that arms it
        self.check_at = 0.0  # value of `now` at which the host has the tick source checked; writer: the ticker
        self.active = False  # steps run or are about to; set before `armed` is read: an idle tick may disarm
        # Switching. Written in the hub, except carrier = None by _stand.
        self.hub: greenlet = None  # the greenlet in which the base loop runs; set when it starts to run
        self.carrier: Carrier | None = None
        self.handoff: Parked | None = None  # drained from the queue: the hub resumes it next
        self.idle: list[Carrier] = []
        self.parked = ParkedQueue(slice_seconds)
        self.standing: dict[G, Parked] = {}  # every G that stands off its carrier, whoever owes it the CPU
        self.blocked_contexts = BlockedContexts()
        self.holds: dict[G, Hold] = {}  # the Gs that somebody holds; writers: claim and drop in _hold.py
        self.nparked_ever = 0
        self.ncreated = 0  # Gs that came to be here; writer: newproc
        self.preemptions: dict[PreemptKind, int] = {}  # of all Gs since the loop was made
        # Requests and time. Written by the tick and by checkpoints.
        self.asked: G | None = None
        self.born: Callable[[G], None] | None = None  # called for a G that is born while the world is stopped
        self.batch_began: Callable[[], None] | None = None  # called on a carrier before each batch; writer: Everywhere
        self.settled: Callable[[], None] | None = None  # called in the hub when a step was stopped; writer: Suspends
        self.fence: Callable[[], bool] = bool  # reports whether a switch would be inside the GC; set by the host
        self.seen = -1  # schedtick that the last tick saw; one more after a preemption
        self.resumed_at, self.cpu_mark = 0.0, 0.0  # the latter: thread CPU time up to which G.cpu_time is charged
        self.unmetered: G | None = None  # its accounts are younger than its step; writers: open_account, settle
        self.clocked = False  # no tick here: checkpoints read the clock
        self.clock_tick, self.clock_start = -1, 0.0
        self.instruments = Instruments(self)

    @property
    def curg(self) -> G | None:
        """The G that runs a step now."""
        step = self.step
        return None if step is None else step[0]

    def innermost_g(self) -> G | None:
        """Return the G whose code runs: `curg`, or that of an eager task inside its step."""
        return self.host.innermost_g() or self.curg

    def masked(self, g: G) -> bool:
        """Report whether the running step of `g` must not be stopped: its own mask, or an eager task's inside it."""
        if g.locks:
            return not g._extra.overdue
        inner = self.host.innermost_g()
        return inner is not None and inner.locks > 0

    # -- requests --

    def request(self, g: G) -> None:
        """Ask the running G to give way: its flag, and the poisoned guard. proc.go, preemptone."""
        g.preempt = True
        self.asked = g
        self.attention = True
        _guard.poison(self)

    def charge(self, g: G) -> None:
        """Add the thread's CPU time since the last charge to `g`."""
        now = time.thread_time()
        used, self.cpu_mark = now - self.cpu_mark, now
        extra = g.extra()
        extra.cpu_time += used
        extra.vruntime += used * NICE_WEIGHT**extra.nice
        for account in extra.accounts:
            account.add(self, used)
        if self.instruments.charged:
            self.instruments.tell(self.instruments.charged, g, used)

    # -- giving up the CPU, on a carrier --

    def require_leave(self) -> None:
        """Raise unless the running G may leave its carrier here. Nothing was changed.

        A child greenlet may not: its carrier would be left standing in the step's own code, and another task's child
        that was born on that carrier would wake it there.

        Raises:
            NoRoomError: too close to the recursion limit.
            CannotLeaveError: in the garbage collector, or in a child greenlet.
        """
        require_headroom()
        if self.fence():
            msg = "a finalizer that the garbage collector runs can neither wait nor give way"
            raise CannotLeaveError(msg)
        if getcurrent() is not self.carrier:
            msg = "a greenlet that a task made for itself can neither wait nor give way by itself; its task can"
            raise CannotLeaveError(msg)

    def preempt(self, g: G, kind: PreemptKind) -> BaseException | None:
        """Take the CPU from the running G: give way, or stop for a suspender. Returns when it runs again.

        Returns what is to be raised where the G stands: a cancellation that came meanwhile.

        Raises:
            NoRoomError, CannotLeaveError: see require_leave.
        """
        self.require_leave()
        extra = g.extra()
        for count in (extra.preemptions, self.preemptions):
            count[kind] = count.get(kind, 0) + 1
        if extra.preempt_stop:
            return self._preempt_park(g, kind)
        return self._gopreempt(g, kind)

    def _gopreempt(self, g: G, kind: PreemptKind) -> BaseException | None:
        """RUNNING -> RUNNABLE, behind everything that is queued. proc.go, gopreempt_m."""
        record = self._detach(g)
        cas_gstatus(g, RUNNING, RUNNABLE)
        self.queue_parked(g, record)
        self.seen = self.schedtick + 1
        return self._stand(record, kind)

    def queue_parked(self, g: G, entry: Parked | Step) -> None:
        """Put a RUNNABLE G into the parked queue."""
        if not self.parked.heap:
            self.parked.since = time.monotonic()
        self.parked.push(g, entry)
        self.instruments.tell(self.instruments.parked, g)
        self.host.kick()

    def queue_step(self, step: Step) -> None:
        """Put a step of a RUNNABLE G where it belongs."""
        if step[0]._extra.aside:
            self.queue_aside(step)
        else:
            self.host.enqueue(step)

    def queue_aside(self, step: Step) -> None:
        """Keep back a step: of a held G until it is let go, of a background G until nothing else wants to run.

        One that is measured is queued so that it is.
        """
        g, extra = step[0], step[0].extra()
        if self.born is not None and extra.hold is None and not g.slices:  # it was born while the world stands
            self.born(g)
        if extra.hold is not None:
            defer(g, step)
            self.host.kept_back(g)
            return
        if extra.accounts:
            step = metered(self, step)
        if extra.probe is not None:
            step = probed(step)
        if extra.background:
            self.queue_parked(g, step)
        else:
            extra.settle_aside()
            self.host.enqueue(step)

    def _preempt_park(self, g: G, kind: PreemptKind) -> BaseException | None:
        """RUNNING -> PREEMPTED: nobody owes it the CPU until a suspender claims it. proc.go, preemptPark."""
        cas_to_preempt_scan(g)  # held while it leaves its carrier: nobody may claim it half-way
        record = self._detach(g)
        cas_from_scan(g, g.status)
        self.seen = self.schedtick + 1
        return self._stand(record, kind)

    def park(self, g: G) -> Parked:
        """RUNNING -> WAITING in the middle of a step (`preemptio.wait`); `unpark` owes it the CPU. proc.go, gopark.

        Returns the record that the caller must arrange to be unparked, and then pass to `stand`.

        Raises:
            NoRoomError, CannotLeaveError: see require_leave.
        """
        self.require_leave()
        record = self._detach(g)
        cas_gstatus(g, RUNNING, WAITING)
        return record

    def goyield(self, g: G) -> Parked:
        """RUNNING -> RUNNABLE at the tail of the ordinary queue: `await sleep(0)` through `preemptio.wait`."""
        self.require_leave()
        record = self._detach(g)
        cas_gstatus(g, RUNNING, RUNNABLE)
        self.host.enqueue(record)
        return record

    def entersyscall(self, g: G, at: BlockedAt) -> BaseException | None:
        """RUNNING -> SYSCALL: the tick found the G blocked; it is looked at again after a time. As `preempt`."""
        self.require_leave()
        record = self._detach(g)
        cas_gstatus(g, RUNNING, SYSCALL)
        g.extra().blocked_at, self.seen = at, self.schedtick + 1
        self.host.call_after(at[2], self.exitsyscall, record)
        return self._stand(record)

    def exitsyscall(self, record: Parked) -> None:
        """SYSCALL -> RUNNABLE, in the ordinary queue: it goes on waiting where it was."""
        g = record.g
        if self.standing.get(g) is not record:
            return
        if g.status is SYSCALL:
            cas_gstatus(g, SYSCALL, RUNNABLE)
            self.instruments.tell(self.instruments.readied, g, self.curg)
            self.host.enqueue(record)
        elif g.status is SCANSYSCALL:
            defer(g, record)

    def stand(self, record: Parked) -> None:
        """Leave the carrier after `park` or `goyield`. Returns, or raises, when the G is resumed."""
        exc = self._stand(record)
        if exc is not None:
            raise exc

    def _detach(self, g: G) -> Parked:
        carrier, step = self.carrier, self.step
        assert carrier is not None
        assert step is not None
        self.charge(g)
        g.preempt = False
        if self.asked is g:
            self.asked = None
        _guard.restore(self)
        record = Parked(g, carrier, getcurrent(), step, None)
        extra = g.extra()
        extra.parked, extra.blocked_at = record, None
        self.standing[g] = record
        self.blocked_contexts.enter(step)
        carrier.detached = True
        return record

    def _stand(self, record: Parked, kind: PreemptKind | None = None) -> BaseException | None:
        self.instruments.tell(self.instruments.stopped, record.g, kind)
        record.token = self.host.leave()
        self.carrier = None
        self.step = None
        self.nparked_ever += 1
        record.carrier.leave()
        exc, record.throw = record.throw, None
        return exc

    # -- giving the CPU, in the hub --

    def run_batch(self) -> None:
        """Let a carrier drain a batch of steps, then resume what it handed over."""
        idle = self.idle
        self.carrier = carrier = idle.pop() if idle else Carrier(self)
        try:
            carrier.give(carrier)
        finally:
            self.active = False
            self.carrier = None
            self.step = None
            if self.attention:
                self.settle()
        while self.handoff is not None:
            record, self.handoff = self.handoff, None
            self.resume(record)

    def resume_parked(self) -> None:
        """Give the head of the parked queue one slice."""
        entry = self.parked.pop()
        if isinstance(entry, Parked):
            self.resume(entry)
            self.parked.since = time.monotonic()
        else:
            self.host.enqueue(entry)

    def resume(self, record: Parked) -> None:
        """RUNNABLE -> RUNNING for a G that stands off its carrier. proc.go, execute."""
        g = record.g
        if record.killed:
            return
        if g._extra.hold is not None:
            defer(g, record)
            return
        self.active = True
        if not self.armed:
            self.host.arm()
        self.instruments.tell(self.instruments.started, g)
        cas_gstatus(g, RUNNABLE, RUNNING)
        g.extra().parked = None
        del self.standing[g]
        g.slices += 1
        self.resumed_at = g.last_run = time.monotonic()
        self.schedtick += 1
        self.seen = self.schedtick  # one tick is its slice, not two
        self.step = record.step
        self.cpu_mark = time.thread_time()
        self.attention = True  # its carrier must not take a second step
        self.host.enter(record.token)
        if g.extra().blocked_at is not None:
            self.host.look_soon()
        carrier = record.carrier
        if carrier.hub is not self.hub:
            carrier.adopt(self.hub)
        self.carrier = carrier
        try:
            carrier.give(record.standing_on)
        finally:
            self.active = False
            self.carrier = None
            self.step = None
            self.settle()
            if carrier.dead:  # of KeyboardInterrupt, SystemExit or kill(): it did not come to that by itself
                self.blocked_contexts.left(record.step)

    def settle(self) -> None:
        """Drop what was asked of a step that is over. In the hub."""
        self.attention = False
        late = self.unmetered
        if late is not None and not late.parked:
            self.unmetered = None
            self.charge(late)
        asked, self.asked = self.asked, None
        if asked is not None:
            asked.preempt = False
            _guard.restore(self)
        if self.settled is not None:
            self.settled()

    def unpark(self, record: Parked) -> None:
        """WAITING -> RUNNABLE for a G that stands in `preemptio.wait`: it gets its place in the ordinary queue."""
        if record.g._extra.hold is not None:
            defer(record.g, record)
            return
        if record.g.status is LEAKED:
            cas_gstatus(record.g, LEAKED, WAITING)
        cas_gstatus(record.g, WAITING, RUNNABLE)
        self.instruments.tell(self.instruments.readied, record.g, self.curg)
        self.host.enqueue(record)

    # -- carriers --

    def step_raised(self, item: Step, exc: BaseException) -> bool:
        """Finish the transition of a step that raised; report whether it only has to wait for its context.

        A step never raises by itself (the task keeps the exception), so a RuntimeError while a parked step has
        entered the same context can only say that: the callback was not called.
        """
        g, callback, _, _ = item
        parked_before = self.carrier is not None and self.carrier.detached
        if isinstance(exc, RuntimeError) and not parked_before and g.status is RUNNING:
            if self.blocked_contexts.wait(entered_context(item), lambda: self.host.enqueue(item)):
                cas_gstatus(g, RUNNING, RUNNABLE)
                self.instruments.tell(self.instruments.stopped, g, None)
                return True
        settle_failed(g, callback.__self__.done())  # type: ignore[attr-defined]  # the task
        self.instruments.tell(self.instruments.stopped, g, None)
        return False

    def begin(self) -> None:
        """Take the current greenlet as the hub: the loop starts to run in it."""
        self.hub = getcurrent()

    def end(self) -> None:
        """End the pooled carriers: a loop that does not run keeps no suspended frames. In the hub."""
        while self.idle:
            self.idle.pop().throw(GreenletExit)
