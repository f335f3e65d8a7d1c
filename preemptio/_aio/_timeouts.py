"""timeout: asyncio.timeout that also ends code that never awaits.

asyncio.timeout cancels the task at its deadline, and asyncio delivers that at the task's next await. A loop that
computes has none. This one looks where the task is: waiting or queued, it cancels as asyncio does; preempted in the
middle of a step, it raises CancelledError at the safe point where the task stands. Either way TimeoutError leaves the
block, and an outer cancellation is told apart by the same counting as in asyncio.

Context: the loop's thread.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import TYPE_CHECKING, Self

from preemptio._errors import NotAGError

if TYPE_CHECKING:
    from preemptio._core._g import G


class timeout:  # noqa: N801 - used as `async with preemptio.timeout(...)`, like asyncio's
    """Limit the time of a block, CPU-bound or not: `async with preemptio.timeout(0.5): ...`.

    Args:
        delay: seconds from entering the block; None for no limit.

    Raises:
        TimeoutError: from the block's end, when the time was over.
        NotAGError: entered outside a task of a preemptio loop.
        ValueError: `delay` is not a number.

    A CPU-bound block is stopped within two slices of its deadline, at a function's entry or a loop's back edge, if its
    code may be preempted at all. `finally` blocks run; code under `except BaseException` that goes on is not stopped.

    Example:
        >>> import preemptio
        >>> async def main():
        ...     try:
        ...         async with preemptio.timeout(0.05):
        ...             while True:
        ...                 pass
        ...     except TimeoutError:
        ...         return "stopped"
        >>> preemptio.run(main())
        'stopped'
    """

    __slots__ = ("_cancelling", "_delay", "_direct", "_expired", "_handle", "_task")

    def __init__(self, delay: float | None) -> None:
        """Set the limit; the clock starts when the block is entered."""
        given: object = delay
        if given is not None and (not isinstance(given, (int, float)) or math.isnan(given)):
            msg = f"timeout() takes a number of seconds or None, not {delay!r}"
            raise ValueError(msg)
        self._delay = delay
        self._expired = False
        self._direct = False  # raised where the task stood, not by task.cancel()
        self._task: asyncio.Task[object] | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._cancelling = 0

    @property
    def expired(self) -> bool:
        """Whether the time was over before the block ended."""
        return self._expired

    async def __aenter__(self) -> Self:
        """Start the clock."""
        task = asyncio.current_task()
        if self._task is not None:
            msg = "a timeout object serves one block; make another: preemptio.timeout(...)"
            raise RuntimeError(msg)
        if not isinstance(task, asyncio.Task) or not hasattr(task, "g"):
            msg = "preemptio.timeout works in tasks of a preemptio loop only; use asyncio.timeout, or preemptio.run"
            raise NotAGError(msg)
        self._task = task
        self._cancelling = task.cancelling()
        if self._delay is not None:
            self._handle = asyncio.get_running_loop().call_later(max(0.0, self._delay), self._on_deadline)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the clock; turn our own cancellation into TimeoutError."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        task = self._task
        if task is None or not self._expired:
            return
        remaining = task.cancelling() if self._direct else task.uncancel()
        if remaining <= self._cancelling and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from exc

    def _on_deadline(self) -> None:
        self._handle = None
        task = self._task
        if task is None or task.done():
            return
        self._expired = True
        g: G | None = getattr(task, "g", None)
        record = None if g is None else g.extra().parked
        if g is not None and record is not None and g.extra().waiting_on is None:
            if record.throw is None:
                record.throw = asyncio.CancelledError()
            self._direct = True  # asyncio's counters never hear of it
        else:
            task.cancel()
