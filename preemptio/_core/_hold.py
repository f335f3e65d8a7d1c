"""Holding a G: what keeps a suspended one from running, and what becomes of its wake-ups meanwhile.

Problem. Somebody reads the stack of a G, and while it is read nothing of it may run. But futures complete, timers
fire, cancellations come, and its step may be in the queue already.

What does not work. Go spins: whoever wants to change the status of a G waits until the reader has dropped the scan bit.
Here both are on one thread. To take its step out of the queue: there are queues that cannot be searched.

What we do. The scan bit says that a G is held, and all that would run it looks at the status anyway. What finds it
held leaves its work in the hold - the step that asyncio has scheduled, the record of a G that stands off its carrier -
and the end of the hold does it, in the order in which it came. Readers share a hold: it ends with the last of them.

A G that was running has stopped for the reader, as PREEMPTED: nobody else owes it the CPU. Whoever ends the hold does.

Invariants.
  H1  A G has a hold exactly while it has the scan bit, and then none of its code runs.
  H2  What is deferred is what would have made the G run: one step, or one record, which is kept once.
  H3  `aside` is true while steps of the G must not go straight into the queue: it is held, of the background class,
      born while the world was stopped, or its steps are measured (`_probe.py`, `_accounts.py`).

Context: the loop's thread.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from preemptio._core._gstatus import (
    LEAKED,
    PREEMPTED,
    RUNNABLE,
    SYSCALL,
    WAITING,
    cas_from_preempted,
    cas_from_scan,
    cas_gstatus,
    cas_to_scan,
)
from preemptio._core._parked import Parked
from preemptio._core._step import ready

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._parked import Step
    from preemptio._core._processor import Processor


class Hold:
    """One suspension of one G."""

    __slots__ = ("deferred", "readers", "reading", "stopped")

    def __init__(self, *, stopped: bool) -> None:
        """Begin with no readers."""
        self.readers = 0
        self.deferred: list[Step | Parked] = []
        self.reading = threading.RLock()  # held while a thread is at the frames of the G
        self.stopped = stopped  # it was running: the end of the hold owes it the CPU


def claim(p: Processor, g: G) -> Hold | None:
    """Keep `g` from running, for one more reader; None if it runs now. The claiming half of preempt.go's suspendG."""
    extra = g.extra()
    hold: Hold | None = extra.hold
    if hold is None:
        status = g.status
        stopped = False
        if status is PREEMPTED and cas_from_preempted(g):
            status, stopped = WAITING, True
        if status not in (RUNNABLE, WAITING, SYSCALL, LEAKED) or not cas_to_scan(g, status):
            return None
        extra.hold = p.holds[g] = hold = Hold(stopped=stopped)
        extra.aside = True
        g.preempt = extra.preempt_stop = False
    hold.readers += 1
    return hold


def release(p: Processor, g: G, hold: Hold) -> None:
    """Give one reader's share back; the last one's lets the G go on. preempt.go, resumeG."""
    hold.readers -= 1
    if hold.readers <= 0 and g._extra.hold is hold:
        drop(p, g)


def drop(p: Processor, g: G) -> None:
    """End the hold of `g` whoever reads it, and do what was deferred."""
    extra = g.extra()
    hold: Hold = extra.hold
    with hold.reading:
        extra.hold = None
        extra.settle_aside()
    del p.holds[g]
    cas_from_scan(g, g.status)
    p.instruments.tell(p.instruments.released, g)
    if hold.stopped:
        cas_gstatus(g, WAITING, RUNNABLE)
        p.queue_parked(g, p.standing[g])
    deferred, hold.deferred = hold.deferred, []  # who keeps his share must not keep the task
    for item in deferred:
        if not isinstance(item, Parked):
            if g.status is not RUNNABLE:
                ready(g)
            p.queue_step(item)
        elif not item.killed:
            if g.status is LEAKED:
                cas_gstatus(g, LEAKED, WAITING)
            if g.status is not RUNNABLE:
                cas_gstatus(g, g.status, RUNNABLE)
            p.host.enqueue(item)


def defer(g: G, item: Step | Parked) -> None:
    """Leave in the hold of `g` what would make it run."""
    deferred = g._extra.hold.deferred
    if item not in deferred:
        deferred.append(item)
