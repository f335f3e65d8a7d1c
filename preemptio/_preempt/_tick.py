"""The tick: notices that a step has used its slice, and takes the CPU from it. Go's sysmon and doSigPreempt.

Problem. Python cannot be interrupted at a chosen time except by a signal, and a signal costs 25 us of machine time
whatever its handler does. So neither a timer per step nor a fast timer for ever.

What we do. The timer is periodic while steps run. A tick compares the identity of the step with what the tick
before saw: the same step at two looks has used its slice. A step that follows a preemption, and one that is
resumed, started at a tick, so for those one look is enough. Two ticks without a step disarm the timer; the next
batch arms it again. A step that overruns while many wait gets a shorter period, down to `FLOOR`, so that the
burst as a whole stays within `TARGET`; one that cannot be stopped gets longer and longer ones.

Every attempt is acknowledged (`carrier.preempt_gen`), also a refused one: a requester must be able to tell
"refused, ask again" from "still on its way".

Where signals do not arrive a second thread does the first look (`glance`), and has the second done in the loop's thread
(`_monitor`): then `on_tick` is called at a function's entry or a back edge.

Context: `on_tick` is a Python signal handler: it runs on top of any frame of the main thread, the runtime's own
included, and inside C functions that poll for signals. It allocates little, logs nothing, takes no locks, and
raises only what a G is meant to get. `glance` runs in the monitor's thread, between any two instructions of the loop's
thread at which that can give up the GIL.
"""

from __future__ import annotations

import os
import time
from types import FrameType
from typing import TYPE_CHECKING, Final

from preemptio._core import _guard
from preemptio._core._gstatus import RUNNING
from preemptio._core._headroom import CannotLeaveError, NoRoomError
from preemptio._core._reasons import PreemptKind, Verdict
from preemptio._log import report_internal
from preemptio._preempt import _process
from preemptio._preempt._codes import GO_FRAMES
from preemptio._preempt._deliver import Delivery
from preemptio._preempt._everywhere import Everywhere
from preemptio._preempt._explain import advise, beyond
from preemptio._preempt._gcfence import FENCE
from preemptio._preempt._gil import GilShare
from preemptio._preempt._monitor import cpu_clock
from preemptio._preempt._overdue import Overdue
from preemptio._preempt._rescue import LOOK_SOON, Rescue
from preemptio._preempt._seek import Seeker, Trace
from preemptio._preempt._slow import Slow
from preemptio._preempt._sources import NullSource, TickSource, open_source
from preemptio._preempt._wakeups import Wakeups

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._processor import Processor
    from preemptio._preempt._reports import Reports
    from preemptio._preempt._safepoint import SafePoints
    from preemptio._preempt._suspend import Suspends

TARGET: Final = 0.010
"""Seconds within which every step of a burst of hogs should have had its first turn."""

FLOOR: Final = 0.000_15
"""Seconds: the shortest period; a tick itself costs a sixth of it."""

STRETCH: Final = 8
"""Slices that a resumed G gets in a row while nothing waits but others like it: each tick looks, few of them switch."""

IDLE_TICKS: Final = 2
"""Ticks without a step after which the timer is disarmed."""

CHECK_EVERY: Final = 0.02
"""Seconds between two looks at who owns the signal and the timer: a program may take them at any time."""

BACK_OFF_AFTER: Final = 4
BACK_OFF_MAX: Final = 32
"""Refusals of one step before its ticks get rarer, and the most that a period is stretched."""

REPORT_AFTER: Final = 20
"""Refusals of one step after which the user is told, once per place."""

SHORT: Final = frozenset({Verdict.MASKED, Verdict.LOCK})
"""Verdicts of regions that are short by their nature, and the user's own wish: no rarer ticks, no report."""

IN_A_CALL: Final = frozenset({Verdict.OPCODE, Verdict.STDLIB})
"""Verdicts of a place where a step may be blocked in the operating system."""

HOPELESS: Final = frozenset({Verdict.OFF, Verdict.TRACER, Verdict.NOT_RUNNING})
"""Verdicts that no other place in the step would change: seeking is pointless."""


class Ticker:
    """One processor's tick."""

    def __init__(self, p: Processor, rules: SafePoints, suspends: Suspends, choice: str, reports: Reports) -> None:
        """Make a ticker that is not started."""
        self._rescue = Rescue(p, rules, reports.blocked)
        self._slow = Slow(p, rules, reports)
        self.overdue = Overdue(p)
        self._rescuing = False  # what the look decided: to set the G aside in a blocking call; writer: _overrun
        self._p = p
        self._rules = rules
        self._suspends = suspends
        self._choice = choice
        self._reports = reports
        self._source: TickSource = NullSource()
        self._monitored = False  # the tick comes from the monitor; writer: _take
        self._clock: int | None = None  # of the loop's thread's CPU time; writer: start
        self._wakeups = Wakeups(p.host.watch, lambda *what: p.host.post(reports.signals_lost, *what))
        self._gil = GilShare()
        self._pid = os.getpid()  # written by arm: whose tasks these are
        self._seeker = Seeker(p, rules, self._found)
        self._everywhere: Everywhere | None = None
        self._period = 0.0
        self._idle = 0
        self._refused, self._refused_tick = 0, -1
        self._broken = False
        self._looking = False  # writer: on_tick
        self.refusals: dict[Verdict, int] = {}  # of all Gs since the loop was made
        self._started = False

    @property
    def source(self) -> str:
        """The name of the source in use."""
        return self._source.name

    # -- the loop's thread --

    def inject_faults(self, share: float, seed: int) -> None:
        """From the next start on, stop every step at this share of its safe points; see _everywhere.py."""
        self._everywhere = Everywhere(self._p, self._rules, self._found, share, seed)
        self._p.parked.in_order = True

    def start(self) -> None:
        """Take a source; called when the loop begins to run."""
        self._clock = cpu_clock()
        self._take(open_source(self._choice, self.on_tick, self.glance))
        self._p.armed = self._p.clocked  # nothing to arm
        FENCE.install()
        _process.watch(self)
        self._started = True
        if self._everywhere is not None:
            self._everywhere.start()

    def stop(self) -> None:
        """Give the source back; called when the loop ends to run."""
        self._started = False
        if self._everywhere is not None:
            self._everywhere.stop()
        if self._seeker.armed:
            self._seeker.disarm()
        self._source.stop()
        self._wakeups.give_back()
        self._gil.give_back()
        self._take(NullSource())
        self._p.clocked = False
        _guard.restore(self._p)
        self._period = 0.0
        self._p.armed = False
        self._rules.claims.forget()
        FENCE.remove()
        _process.unwatch(self)

    def arm(self) -> None:
        """Begin to tick: a batch of steps starts. Called by the host when `p.armed` is false."""
        p = self._p
        if self._source.lost():  # somebody took the signal: leave it to them
            self._source.stop()
            self._take(open_source(self._choice, self.on_tick, self.glance))
        self._pid = os.getpid()
        self._rules.claims.learn()
        p.seen = -1
        p.cpu_mark = time.thread_time()
        self._idle = 0
        self._period = 0.0
        self._take_wakeups()
        self._tick_again()

    def _tick_again(self) -> None:
        self._gil.guard(self._p.slice)
        self._set_period(self._p.slice)
        self._p.armed = True

    def check(self) -> None:
        """See that the tick is still ours and still on. Now and then, by the host, while steps run."""
        p = self._p
        p.check_at = p.now + CHECK_EVERY
        if self._source.lost() or (p.armed and self._period and not self._source.ticking()):
            p.armed = False  # the next batch arms again, with another source if need be
        else:
            self._take_wakeups()

    def _take_wakeups(self) -> None:
        if self._source.signum:
            self._wakeups.take(self._source.signum)

    def disarm(self) -> None:
        """Stop ticking until the next batch."""
        self._source.disarm()
        self._gil.give_back()
        self._period = 0.0
        self._p.armed = self._p.clocked

    @property
    def ticking(self) -> bool:
        """Whether the timer is on."""
        return self._period > 0

    def arm_again(self) -> None:
        """Tick again after a failed exec, unless the loop ended or armed by itself meanwhile. From another thread."""
        p = self._p
        if self._started and not p.armed:
            self._tick_again()

    def look_soon(self) -> None:
        """Have the next tick come early: a G that was blocked goes on, and may be still. In the hub."""
        if self._period:
            self._set_period(min(LOOK_SOON, self._p.slice))

    def abandon(self) -> None:
        """Forget the timer, which a fork did not inherit, and a search, which it did. In the forked child."""
        if self._seeker.armed:
            self._seeker.disarm()
        if self._everywhere is not None:
            self._everywhere.stop()
        self._wakeups.abandon()
        self._gil.give_back()
        self._period = 0.0
        self._p.armed = False
        self._source.forked()
        self._source = NullSource()
        self._p.clocked = False
        _guard.restore(self._p)
        self._p.host.forked()

    def _take(self, source: TickSource) -> None:
        """Use `source`. Without a tick the guard is poisoned for good and checkpoints read the clock."""
        p = self._p
        self._source = source
        if source.survives_exec:
            _process.look_out_for_exec()
        p.clocked = source.name == "none"
        self._monitored = source.name == "monitor"
        if p.clocked:
            _guard.poison(p)
        else:
            _guard.restore(p)

    def _set_period(self, period: float) -> None:
        if period != self._period:
            self._period = period
            self._source.arm(period)
            if self._monitored:  # its thread must get the GIL within a part of the period
                self._gil.guard(min(period, self._p.slice) / 4)

    # -- the monitor's thread --

    def glance(self) -> bool:
        """Do of a look what can be done from outside; report whether the loop's thread must do the rest."""
        try:
            return self._glance()
        except Exception as exc:
            self._failed(exc)
            return False

    def _glance(self) -> bool:
        p = self._p
        if not p.active:
            self._idle += 1
            if self._idle >= IDLE_TICKS:
                self.disarm()
                if p.active and self._started:  # a batch began meanwhile, which may have seen `armed` as it was
                    self._tick_again()
                else:
                    p.host.idle()
            return False
        self._idle = 0
        step, tick = p.step, p.schedtick
        if step is None:
            self._blind()
            return False
        if p.seen != tick:
            p.seen = tick
            p.attention = True
            if self._clock is not None:
                p.cpu_mark = time.clock_gettime(self._clock)  # what ran before is nobody's here: its G may be gone
            self._set_period(p.slice)
            return False
        return True

    # -- the signal handler --

    def on_tick(self, _signum: int, frame: FrameType | None) -> None:
        """Look at what runs; take the CPU from a step that was there before."""
        if self._looking:
            return  # this tick has interrupted another
        self._looking = True
        try:
            self._wakeups.drain()
            if self._everywhere is not None and frame is not None:
                self._everywhere.follow(frame)
            self._rescuing = False
            g = self._look(frame)
            self._slow.look(frame)
            blocked = self._rescuing  # a tick after `_looking` is dropped must not change it
        except RecursionError:
            return  # the step is too deep for anything of ours; the next tick may meet it higher up
        except Exception as exc:
            self._failed(exc)
            return
        finally:
            self._looking = False
        if g is not None and frame is not None:
            if blocked:
                if self._seeker.armed:
                    self._seeker.disarm()
                self._rescue.set_aside(g, frame)
            else:
                self._inject(g, PreemptKind.ASYNC, frame)

    def _look(self, frame: FrameType | None) -> G | None:
        """Return the G that must and may be stopped now."""
        p = self._p
        if not p.active or frame is None:
            self._idle += 1
            if self._idle >= IDLE_TICKS:
                self.disarm()
                p.host.idle()
            return None
        self._idle = 0
        step = p.step
        if step is None:
            p.cpu_mark = time.thread_time()  # a callback's: nobody's here
            self._blind()
            return None
        g = step[0]
        if self._suspends.wanted(g):
            g.extra().preempt_stop = True
            p.seen = p.schedtick
            return self._overrun(p, g, frame) if g.status is RUNNING and not Delivery.under_way() else None
        if p.seen != p.schedtick:
            p.seen = p.schedtick
            p.attention = True  # the batch has lasted a tick: let I/O and timers be polled after this step
            p.charge(g)
            self._set_period(p.slice)
            return None
        if g.status is not RUNNING or Delivery.under_way():
            return None
        ran = time.monotonic() - p.resumed_at
        if ran < self._period / 2:
            return None
        if ran < STRETCH * p.slice and p.host.quiet() and not g.preempt:
            p.charge(g)
            self._set_period(p.slice)
            return None
        return self._overrun(p, g, frame)

    def _blind(self) -> None:
        """Count a tick in a callback, which is no task's and is not preempted: its ticks get rarer."""
        p = self._p
        if self._refused_tick != p.schedtick:
            self._refused_tick, self._refused = p.schedtick, 0
        self._refused += 1
        if self._refused > BACK_OFF_AFTER:
            self._set_period(p.slice * BACK_OFF_MAX)

    def _overrun(self, p: Processor, g: G, frame: FrameType) -> G | None:
        carrier = p.carrier
        self.overdue.look(g)
        p.request(g)
        verdict = Verdict.MASKED if p.masked(g) else self._rules.verdict(g, frame, certain=self._monitored)
        if carrier is not None:
            carrier.preempt_gen += 1
        # The cheap question first: to read the callee from the bytecode costs a burst of hogs its latency.
        called = verdict in IN_A_CALL or (verdict is Verdict.RUNTIME and frame.f_code in GO_FRAMES)  # go(time.sleep, 1)
        called = called and not self._monitored  # a call that waits has no events to look at it from
        if called and self._rescue.still_there(g, frame) and self._rescue.may_leave(frame):
            if not p.parked.heap and p.host.quiet():
                return None  # nobody waits for the thread
            self._rescuing = True
            self._set_period(p.slice)
            return g
        if verdict is Verdict.RUNTIME and self._seeker.armed:
            return None  # it landed in the search, which goes on
        if verdict is not Verdict.SAFE:
            self._refuse(p, g, frame, verdict)
            return None
        waiting = p.host.backlog()
        # Shorter as the burst asks for, and never longer before it is over: a period that grew as the backlog
        # shrinks would make the sum harmonic, TARGET * ln(n).
        self._set_period(max(FLOOR, min(p.slice, self._period, TARGET / waiting)) if waiting else p.slice)
        return g

    def _failed(self, exc: Exception) -> None:
        """Report a fault of the tick itself, from the loop; the step goes on as if it had been refused."""
        if not self._broken:
            self._broken = True
            self._p.host.post(report_internal, "tick", exc)

    def _inject(self, g: G, kind: PreemptKind, frame: FrameType) -> Trace | None:
        """Stop the G on top of the interrupted frame: asyncPreempt. Returns a trace function if it armed one."""
        if self._seeker.armed:
            self._seeker.disarm()
        extra = g.extra()
        section = extra.restartable
        torn = section is not None and section.torn_at(frame)
        extra.async_safe_point = True
        try:
            exc = self._p.preempt(g, kind)
        except (NoRoomError, CannotLeaveError) as why:
            self._count(g, frame, Verdict.STACK if isinstance(why, NoRoomError) else Verdict.GC)
            return None
        finally:
            extra.async_safe_point = False
        if exc is None:
            if torn and section is not None:  # there is no handler in the way: see _restart.py
                raise section.restart(extra, None if self._everywhere is None else self._everywhere.resume)
            return None
        delivery = Delivery(self._p, g, exc, self._everywhere)
        self._looking = True  # a tick in between would begin a search in the same frames, and the delivery miss them
        try:
            armed = delivery.arm(frame)
        finally:
            self._looking = False
        if not armed:
            raise exc
        return delivery.local()

    def _found(self, g: G, frame: FrameType) -> Trace | None:
        """Stop the G where the search ended. In the trace callback, inside `sys.call_tracing`.

        A search that goes on in a forked child, before `abandon` is called there, must not find anything: what the
        loop would run next is the parent's.
        """
        if g.status is RUNNING and g.preempt and os.getpid() == self._pid:
            return self._inject(g, PreemptKind.SEEK, frame)
        return None

    def _count(self, g: G, frame: FrameType, verdict: Verdict) -> None:
        """Count a refusal, of the G and of the loop, and keep the last; see _refusals.py."""
        extra, instruments = g.extra(), self._p.instruments
        extra.refusals[verdict] = extra.refusals.get(verdict, 0) + 1
        self.refusals[verdict] = self.refusals.get(verdict, 0) + 1
        extra.last_refusal = verdict, frame.f_code, frame.f_lasti, time.monotonic()
        if instruments.refused:
            instruments.tell(instruments.refused, g, verdict, frame.f_code, frame.f_lasti)

    def _refuse(self, p: Processor, g: G, frame: FrameType, verdict: Verdict) -> None:
        self._count(g, frame, verdict)
        p.charge(g)  # else whom the next tick meets pays for it
        if self._refused_tick != p.schedtick:
            self._refused_tick, self._refused = p.schedtick, 0
        self._refused += 1
        if verdict not in HOPELESS and not self._seeker.armed:
            self._seeker.arm(g, frame)
        if self._refused > BACK_OFF_AFTER and verdict not in SHORT:
            stretch = min(2 ** (self._refused - BACK_OFF_AFTER), BACK_OFF_MAX)
            self._set_period(p.slice * stretch)
        if self._refused == REPORT_AFTER and verdict not in SHORT:
            verdict = beyond(self._rules, g, verdict, frame)
            at = frame.f_code, frame.f_lineno  # not the frame, which would keep variables until the loop comes to it
            p.host.post(self._reports.refused, g, verdict, *at, advise(self._rules, g, verdict, frame))
