"""Other threads' share of the GIL while the tick is on.

Problem. A thread that waits for the GIL asks for it after `sys.getswitchinterval()`, 5 ms, counted anew whenever the
GIL was free for a moment. A loop that polls between slices frees it for a microsecond every slice, and has it back
before the waiting thread has woken up. So beside a preempted task with a slice of 5 ms or less a thread never comes to
ask, and starves for seconds: `asyncio.to_thread`, executors, whoever calls `call_soon_threadsafe`.

What we do. While the tick is on the interval is at most half a slice: the thread asks before the loop polls again. A
tick that comes from a thread (_monitor.py) asks for less: it has to get the GIL before it can look.

Several loops, in threads of their own, may each want something; the interval is the whole process's, and the shortest
wish counts. Each wish is a dictionary's item. Who changes one tries to settle the interval; who finds another at that
leaves it to him, since he looks once more when he is done. So nobody waits, and the tick handler may come in between.

Invariants. The interval is only ever made shorter, and put back when the last wish has gone unless somebody has set it
meanwhile.

Context: any loop's thread, the tick handler, a monitor's thread; `forked` in the forked child.
"""

from __future__ import annotations

import _thread
import sys
from typing import Final

ROUNDING: Final = 0.000_001
"""Seconds: CPython keeps the interval in whole microseconds."""

SHORTEST: Final = 0.000_05
"""Seconds: what an interval is never made shorter than; a change of threads costs a fifth of it."""


class _Interval:
    """The process's switch interval, and who wants it shorter."""

    def __init__(self) -> None:
        self.wishes: dict[GilShare, float] = {}
        self.settling = _thread.allocate_lock()
        self.before = 0.0  # the program's own, while ours is set; writers: settle, which one thread is in at a time
        self.ours = 0.0

    def settle(self) -> None:
        """Set the interval to the shortest wish, or put it back."""
        while self.settling.acquire(blocking=False):
            try:
                wanted = min(list(self.wishes.values()), default=0.0)
                self._set(wanted)
            finally:
                self.settling.release()
            if wanted == min(list(self.wishes.values()), default=0.0):
                return

    def _set(self, wanted: float) -> None:
        now = sys.getswitchinterval()
        if not self.ours or abs(now - self.ours) >= 2 * ROUNDING:
            self.before, self.ours = now, 0.0  # the program has set it
        if wanted and wanted < self.before:
            self.ours = wanted
            sys.setswitchinterval(wanted)
        elif self.ours:
            self.ours = 0.0
            sys.setswitchinterval(self.before)


_interval: Final = _Interval()


def forked() -> None:
    """Forget who was at it: in the forked child there is one thread."""
    _interval.settling = _thread.allocate_lock()


class GilShare:
    """What one ticker wants of the switch interval."""

    def guard(self, slice_seconds: float) -> None:
        """Let waiting threads ask for the GIL within half a slice."""
        wish = max(slice_seconds / 2, SHORTEST)
        if _interval.wishes.get(self) != wish:
            _interval.wishes[self] = wish
            _interval.settle()

    def give_back(self) -> None:
        """Want nothing any more."""
        if _interval.wishes.pop(self, None) is not None:
            _interval.settle()
