"""timeout: asyncio.timeout that also ends code that never awaits.

The deadline is a timer's; how the block is ended, and what leaves it, is `_blocks.py`.

Context: the loop's thread.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Self

from preemptio._aio._blocks import Block


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

    __slots__ = ("_block", "_delay", "_handle")

    def __init__(self, delay: float | None) -> None:
        """Set the limit; the clock starts when the block is entered."""
        given: object = delay
        if given is not None and (not isinstance(given, (int, float)) or math.isnan(given)):
            msg = f"timeout() takes a number of seconds or None, not {delay!r}"
            raise ValueError(msg)
        self._delay = delay
        self._block = Block()
        self._handle: asyncio.TimerHandle | None = None

    @property
    def expired(self) -> bool:
        """Whether the time was over before the block ended."""
        return self._block.struck

    async def __aenter__(self) -> Self:
        """Start the clock."""
        self._block.enter("timeout", "asyncio.timeout, or preemptio.run")
        if self._delay is not None:
            self._handle = asyncio.get_running_loop().call_later(max(0.0, self._delay), self._block.strike)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the clock; turn our own cancellation into TimeoutError."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._block.ours(kind):
            raise TimeoutError from exc
