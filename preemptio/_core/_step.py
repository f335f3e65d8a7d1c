"""The hot path: what every task step costs. Kept small and plain, so that a compiled twin can take its place.

`ready` and `run_step` write three statuses inline instead of calling `cas_gstatus`: at a million steps a second
three calls are a tenth of the CPU. Each write here is guarded by a test of the old status, and a test of the
project holds each pair against the table in `_gstatus.py`.

Where Go's transitions are in asyncio: a step is scheduled by `call_soon` -> ready; taken from the queue -> execute;
its callback returns with the task waiting -> park; it had already scheduled its next step -> goyield; done -> goexit.

Context: `ready` wherever asyncio schedules a step (hub or carrier); `run_step` on a carrier only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from preemptio._core._gstatus import (
    DEAD,
    IDLE,
    LEAKED,
    RUNNABLE,
    RUNNING,
    SYSCALL,
    WAITING,
    bad_transition,
    cas_gstatus,
)
from preemptio._core._instruments import LISTENING, tell_ready

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._parked import Step
    from preemptio._core._processor import Processor


def ready(g: G) -> None:
    """Make `g` runnable because its next step is about to be queued: Go's ready, and goyield from within a step.

    One that is held stays as it is: its step is not queued but left to the end of the hold (`Processor.queue_aside`).

    Raises:
        InternalError: it is runnable already (a step scheduled twice) or dead.
    """
    status = g.status
    if status is WAITING or status is RUNNING or status is IDLE:
        g.status = RUNNABLE
    elif status is SYSCALL and not g.parked:  # its call in a worker thread has ended, or it was cancelled
        cas_gstatus(g, SYSCALL, RUNNABLE)
    elif status is LEAKED:  # somebody cancelled it
        cas_gstatus(g, LEAKED, WAITING)
        cas_gstatus(g, WAITING, RUNNABLE)
    elif g._extra.hold is None or status.base is RUNNABLE:
        bad_transition(g, WAITING, RUNNABLE)
    else:
        return
    if LISTENING:
        tell_ready(g)


def run_step(p: Processor, item: Step) -> bool:
    """Run one step of a G on the current carrier: execute, then park, yield or exit.

    Returns whether the carrier must look up from its batch: `p.attention`.
    """
    g, step, args, context = item
    if g.status is not RUNNABLE:
        if g._extra.hold is not None:
            p.queue_aside(item)
            return p.attention
        bad_transition(g, RUNNABLE, RUNNING)
    p.schedtick = tick = p.schedtick + 1
    if tick >= p.watch_at:  # see _instruments.py
        context = p.instruments.watched(g, context)
    g.status = RUNNING
    g.slices += 1
    g.last_run = p.now
    p.step = item
    if args:
        context.run(step, *args)
    else:
        context.run(step)
    if g.status is RUNNING:
        g.status = DEAD if step.__self__.done() else WAITING  # type: ignore[attr-defined]  # the task
    # An exception that the task keeps may keep this frame (by its traceback's f_back), and so the task itself.
    del item, g, step, args, context
    return p.attention


def settle_failed(g: G, done: bool) -> None:
    """Finish the transition of a step that raised instead of returning."""
    if g.status is RUNNING:
        g.status = DEAD if done else WAITING
