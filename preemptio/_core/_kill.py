"""The end of a step whose loop is closing.

A step that stands off its carrier would stand there for ever: its loop will not run again. So it is given the CPU once
more, wherever it stood and whoever held it, with an exception in its way.

Context: in the hub, after the loop has ended to run, in its thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenlet import GreenletExit

from preemptio._core._gstatus import LEAKED, PREEMPTED, RUNNABLE, SYSCALL, WAITING, cas_from_preempted, cas_gstatus
from preemptio._core._hold import drop

if TYPE_CHECKING:
    from preemptio._core._parked import Parked
    from preemptio._core._processor import Processor


def kill(p: Processor, record: Parked) -> bool:
    """End a parked step whose loop is closing by raising GreenletExit where it stands; report whether it ended.

    Its `finally` blocks run. A step that catches even that is left behind, suspended for ever.
    """
    g = record.g
    if g._extra.hold is not None:
        drop(p, g)
    if g.status is LEAKED:
        cas_gstatus(g, LEAKED, WAITING)
    if g.status not in (RUNNABLE, WAITING, PREEMPTED, SYSCALL):
        return False
    p.parked.remove(record)
    cas_from_preempted(g)
    if g.status in (WAITING, SYSCALL):
        cas_gstatus(g, g.status, RUNNABLE)
    record.throw = GreenletExit("the event loop was closed")
    p.resume(record)
    record.killed = True
    return g.extra().parked is None
