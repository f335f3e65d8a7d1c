"""Task: asyncio's C task, with its G, and with cancellation that reaches it in the middle of a step.

A task that was preempted is, to asyncio, in the middle of its step: `cancel()` can only mark it, and the mark is
looked at when the step ends. That is what asyncio defines, and the default here. Two kinds of tasks want more: one
that stands in `preemptio.wait()` must be woken, and one started with `cancel="safepoint"` wants the CancelledError
raised where it stands. The C task has no way to take a mark back once the error was delivered, so such a
cancellation is never shown to it: the G counts it, and `cancelling()` / `uncancel()` add the two counts. asyncio's
own Timeout and TaskGroup call these methods, so they see one consistent number.

Context: the loop's thread; `cancel` also in asyncio.Runner's SIGINT handler.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from preemptio._aio._shares import cancelled
from preemptio._core._gstatus import SYSCALL

if TYPE_CHECKING:
    from contextvars import Context

    from preemptio._core._g import G

T = TypeVar("T")


class Task(asyncio.Task[T]):
    """An asyncio task of a preemptio loop. `task.g` is its G."""

    __slots__ = ("g",)

    g: G

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel as asyncio does; a G that waits in `preemptio.wait` or stands at a safe point gets it there.

        Returns False if the task is done.
        """
        g: G | None = getattr(self, "g", None)
        done = (g is not None and deliver_cancel(g, msg)) or super().cancel(msg)
        cancelled(self)
        return done

    def cancelling(self) -> int:
        """Return the number of cancellation requests that were not taken back."""
        return super().cancelling() + self._delivered()

    def uncancel(self) -> int:
        """Take one cancellation request back; return how many remain."""
        if self._delivered():
            self.g.extra().delivered_cancels -= 1
            return self.cancelling()
        return super().uncancel()

    if hasattr(asyncio.Task, "get_context"):  # 3.12+

        def get_context(self) -> Context:
            """Return the context the task runs in. Whoever has it may want to enter it too: the loop takes note."""
            context: Context = super().get_context()  # type: ignore[misc]  # not in 3.11
            note = getattr(self.get_loop(), "_context_given", None)
            if note is not None:
                note(context)
            return context

    def _delivered(self) -> int:
        g: G | None = getattr(self, "g", None)
        return 0 if g is None else g._extra.delivered_cancels


def deliver_cancel(g: G, msg: object) -> bool:
    """Deliver a cancellation to a G that stands off its carrier, if it takes it there; report whether it did."""
    extra = g._extra
    record = extra.parked
    if record is None or record.killed:
        return False
    waiting_on = extra.waiting_on
    if waiting_on is None and not extra.cancel_at_safe_point:
        return False
    if waiting_on is not None and waiting_on.cancel(msg):
        extra.delivered_cancels += 1
        return True
    if record.throw is None:
        record.throw = asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg)
    extra.delivered_cancels += 1
    if g.status is SYSCALL:  # it would be looked at anyway, but not soon
        record.carrier.p.exitsyscall(record)
    return True
