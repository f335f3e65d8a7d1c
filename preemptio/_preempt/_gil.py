"""Other threads' share of the GIL while the tick is on.

Problem. A thread that waits for the GIL asks for it after `sys.getswitchinterval()`, 5 ms, counted anew whenever the
GIL was free for a moment. A loop that polls between slices frees it for a microsecond every slice, and has it back
before the waiting thread has woken up. So beside a preempted task with a slice of 5 ms or less a thread never comes to
ask, and starves for seconds: `asyncio.to_thread`, executors, whoever calls `call_soon_threadsafe`.

What we do. While the tick is on the interval is at most half a slice: the thread asks before the loop polls again.

Invariants. The interval is only ever made shorter, and put back unless somebody has set it meanwhile. It is the whole
process's; loops that tick are in the main thread, so there is one at a time.

Context: the loop's thread and the tick handler.
"""

from __future__ import annotations

import sys

ROUNDING = 0.000_001
"""Seconds: CPython keeps the interval in whole microseconds."""


class GilShare:
    """What one ticker has done to the switch interval."""

    def __init__(self) -> None:
        """Start with nothing changed."""
        self._before = 0.0
        self._ours = 0.0

    def guard(self, slice_seconds: float) -> None:
        """Let waiting threads ask for the GIL within half a slice."""
        if self._ours:
            return
        before = sys.getswitchinterval()
        if before > slice_seconds / 2:
            self._before, self._ours = before, slice_seconds / 2
            sys.setswitchinterval(self._ours)

    def give_back(self) -> None:
        """Put the interval back."""
        if self._ours:
            if abs(sys.getswitchinterval() - self._ours) < 2 * ROUNDING:
                sys.setswitchinterval(self._before)
            self._ours = 0.0
