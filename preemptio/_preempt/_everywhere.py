"""preemptall and preemptrandom: a preemption at every safe point, or at a share of them drawn by a seed.

Problem. A rule of the ladder that is wrong shows only when the tick happens to hit the one place where it matters: a
fault that comes once a week in production and never in a test.

What we do. A trace function stays installed while the loop runs. At each function entry and each backward line it asks
the ladder what the tick would ask, and where the answer is "safe" it takes the CPU from the G, slice or no slice. What
survives that survives every tick. The seeded variant reaches the same places with less repetition, so long programs
come to an end.

Invariants. The places are those where a tick could stop the G, and no others: same ladder, same door. Stands aside for
other people's tracers as seeking does, and comes back at the next start of the loop only.

Context: the trace callback, in whatever greenlet runs; `start` and `stop` in the loop's thread.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

from preemptio._core._gstatus import RUNNING
from preemptio._core._reasons import Verdict
from preemptio._log import report_internal
from preemptio._preempt._opcodes import at_safe_opcode
from preemptio._preempt._seek import Trace
from preemptio._preempt._tracers import OwnTracer, tracer_installed
from preemptio._preempt._whose import Whose

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._processor import Processor
    from preemptio._preempt._safepoint import SafePoints


class Everywhere(OwnTracer):
    """One loop's fault injection."""

    def __init__(
        self,
        p: Processor,
        rules: SafePoints,
        stop_here: Callable[[G, FrameType], Trace | None],
        share: float,
        seed: int,
    ) -> None:
        """Call `stop_here(g, frame)` at `share` of the safe points, drawn by `seed`."""
        self._p = p
        self._rules = rules
        self._stop_here = stop_here
        self._share = share
        self._draw = random.Random(seed).random  # noqa: S311 - to be repeatable is the point
        self._last: dict[FrameType, int] = {}  # where each traced frame was last
        self.stops = 0

    def start(self) -> None:
        """Install the trace function, unless somebody else traces."""
        if not tracer_installed():
            sys.settrace(self._on_event)

    def stop(self) -> None:
        """Remove it."""
        if sys.gettrace() == self._on_event:
            sys.settrace(None)
        self._last.clear()

    def _on_event(self, frame: FrameType, event: str, _arg: object) -> Any:
        p = self._p
        step = p.step
        if step is None or p.carrier is None:
            return None  # the hub, or a callback: no G's code, and neither is what it calls
        if event == "call" and self._rules.ownership.whose(frame) is Whose.RUNTIME:
            return None
        lasti = frame.f_lasti
        if event == "line":
            candidate = lasti <= self._last.get(frame, -1)
            self._last[frame] = lasti
        elif event == "call":
            candidate = at_safe_opcode(frame.f_code, lasti)
            self._last[frame] = lasti
        else:
            candidate = False
            if event == "return":
                self._last.pop(frame, None)
        if candidate and (self._share >= 1 or self._draw() < self._share):
            self._stop(step[0], frame)
        return self._on_event

    def _stop(self, g: G, frame: FrameType) -> None:
        p = self._p
        if g.status is not RUNNING:
            return
        try:
            verdict = Verdict.MASKED if p.masked(g) else self._rules.verdict(g, frame, certain=True)
        except Exception as exc:  # the frame below is the user's: an error of ours must not surface there
            p.host.post(report_internal, "preemptall", exc)
            return
        if verdict is Verdict.SAFE:
            self.stops += 1
            p.request(g)
            sys.call_tracing(self._stop_here, (g, frame))
