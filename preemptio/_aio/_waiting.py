"""What a task awaits, read from its await chain when somebody asks. Nothing is recorded while it waits.

Context: the loop's thread, or another thread that accepts a slightly stale answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from preemptio._core._g import set_wait_reason_reader
from preemptio._core._gstatus import LEAKED, SYSCALL, WAITING
from preemptio._core._reasons import WaitReason
from preemptio._scan._classes import attribute, is_a, qualname_of

if TYPE_CHECKING:
    from preemptio._core._g import G

REASONS: Final = {
    "sleep": WaitReason.SLEEP,
    "Lock.acquire": WaitReason.LOCK,
    "Event.wait": WaitReason.EVENT,
    "Barrier.wait": WaitReason.CONDITION,
    "Condition.wait": WaitReason.CONDITION,
    "Condition.wait_for": WaitReason.CONDITION,
    "Semaphore.acquire": WaitReason.SEMAPHORE,
    "Queue.get": WaitReason.QUEUE_GET,
    "Queue.put": WaitReason.QUEUE_PUT,
    "Queue.join": WaitReason.QUEUE_PUT,
    "StreamReader._wait_for_data": WaitReason.STREAM,
    "FlowControlMixin._drain_helper": WaitReason.STREAM,
    "BaseSelectorEventLoop._sock_connect": WaitReason.STREAM,
    "TaskGroup.__aexit__": WaitReason.GROUP,
    "_wait": WaitReason.GATHER,
    "wait_for": WaitReason.GATHER,
}
"""asyncio's coroutines by qualified name, outermost match wins last: the innermost known one is the reason."""


def wait_reason(g: G) -> WaitReason:
    """Say what a G waits for."""
    task: Any = g.task
    status = g.status.base  # held or not
    if status is SYSCALL:  # one that the tick set aside stands in mid-step, and not in preemptio.wait
        rescued = g.parked and g._extra.waiting_on is None
        return WaitReason.NONE if rescued else WaitReason.BLOCKING
    if task is None or status not in (WAITING, LEAKED):
        return WaitReason.NONE
    return awaited(task)


def awaited(task: Any) -> WaitReason:
    """Say what a task that does not run awaits: its chain stands until it goes on, be it runnable by now."""
    if task is None:
        return WaitReason.NONE
    found = WaitReason.AWAIT
    awaiting = task.get_coro()
    while awaiting is not None:
        frame = attribute(awaiting, "cr_frame")
        if frame is not None and frame.f_globals.get("__name__", "").startswith("asyncio."):
            found = REASONS.get(attribute(awaiting, "__qualname__"), found)
        awaiting = attribute(awaiting, "cr_await")
    if found is WaitReason.AWAIT:
        future = getattr(task, "_fut_waiter", None)
        if is_a(future, asyncio.Task):
            return WaitReason.TASK
        if qualname_of(type(future)) == "_GatheringFuture":
            return WaitReason.GATHER
    return found


set_wait_reason_reader(wait_reason)
