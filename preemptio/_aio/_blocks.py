"""Ending a block: an exception in the task that is in it, wherever it stands, and an error of our own at its end.

asyncio.timeout cancels its task, and asyncio delivers that at the task's next await. A loop that computes has none. So
this looks where the task is: one that waits or is queued is cancelled as asyncio does it; one that was preempted in
the middle of a step gets CancelledError at the safe point where it stands. Either way the block's end turns it into
another error, and an outer cancellation is told apart by the same counting as in asyncio.

Context: the loop's thread; `strike` outside of the task's step.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from preemptio._errors import NotAGError

if TYPE_CHECKING:
    from preemptio._core._g import G


class Block:
    """One block of one task, which can be ended from outside."""

    __slots__ = ("_cancelling", "_direct", "struck", "task")

    def __init__(self) -> None:
        """Start outside."""
        self.task: asyncio.Task[object] | None = None
        self.struck = False
        self._direct = False  # raised where the task stood, not by task.cancel()
        self._cancelling = 0

    def enter(self, what: str, instead: str) -> G:
        """Take the current task; return its G.

        Raises:
            RuntimeError: it has been entered before.
            NotAGError: there is no task, or not one of a preemptio loop.
        """
        if self.task is not None:
            msg = f"a {what} object serves one block; make another: preemptio.{what}(...)"
            raise RuntimeError(msg)
        task = asyncio.current_task()
        g: G | None = getattr(task, "g", None)
        if task is None or g is None:
            msg = f"preemptio.{what} works in tasks of a preemptio loop only; use {instead}"
            raise NotAGError(msg)
        self.task = task
        self._cancelling = task.cancelling()
        return g

    def strike(self) -> bool:
        """End the block; False if it has ended, or was struck already."""
        task = self.task
        if task is None or task.done() or self.struck:
            return False
        self.struck = True
        g: G | None = getattr(task, "g", None)
        record = None if g is None else g.extra().parked
        if g is not None and record is not None and g.extra().waiting_on is None:
            if record.throw is None:
                record.throw = asyncio.CancelledError()
            self._direct = True  # asyncio's counters never hear of it
        else:
            task.cancel()
        return True

    def ours(self, kind: type[BaseException] | None) -> bool:
        """Report whether what leaves the block is its own end. Once, at the end of the block."""
        task = self.task
        if task is None or not self.struck:
            return False
        remaining = task.cancelling() if self._direct else task.uncancel()
        return remaining <= self._cancelling and kind is not None and issubclass(kind, asyncio.CancelledError)
