"""The last resort: to stop a step that keeps its loop from ending.

Problem. When a loop ends its tasks, one that computes in a `nopreempt` region, or in a library's code, and does not
come back is never asked: the timer that bounds the end is the loop's, and the loop does not turn. The program hangs,
though nobody needs what that task protects any more.

What does not work. To raise an exception from the handler, as Ctrl-C does: what catches everything goes on. To end the
process: main's own clean-up, and the other tasks', would be lost.

What we do. While a loop ends its tasks (`after`), a tick that meets a step for which the loop has not turned for that
long marks its G: masks, and whose code it is, do not hold for it any more (`SafePoints.of`, `Processor.masked`). The
rest of the rules does: entries and back edges only, no held lock, not in the collector, nothing that C code waits for.
So it is parked like any other, is cancelled where it stands, and is left behind if it goes on after that.

Invariants. Only a G that has had the CPU in one piece for the whole time is marked: one that cleans up for long, but
awaits, keeps all that it was promised. The mark stays: the loop is closed next.

Context: `after` in the loop's thread, `look` in the tick handler.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._processor import Processor


class Overdue:
    """One ticker's view of it."""

    def __init__(self, p: Processor) -> None:
        """Start with a loop that does not end."""
        self._p = p
        self._after: float | None = None

    def after(self, seconds: float | None) -> None:
        """From now on mark what keeps the loop from turning for so many seconds; None: mark nothing."""
        self._after = seconds

    def look(self, g: G) -> None:
        """Mark `g`, which has used its slice, if its step is overdue."""
        if self._after is not None and time.monotonic() - max(self._p.now, self._p.resumed_at) > self._after:
            g.extra().overdue = True
