"""preemptall and preemptrandom: a preemption at every safe point, or at a share of them drawn by a seed.

Problem. A rule of the ladder that is wrong shows only when the tick happens to hit the one place where it matters: a
fault that comes once a week in production and never in a test.

What we do. A trace function stays installed while the loop runs. At each function entry and each backward line it asks
the ladder what the tick would ask, and where the answer is "safe" it takes the CPU from the G, slice or no slice. What
survives that survives every tick. The seeded variant reaches the same places with less repetition, so long programs
come to an end.

Invariants. The places are those where a tick could stop the G, and no others: same ladder, same door. Stands aside for
other people's tracers as seeking does. A cancellation that is raised in a G by a trace function takes its place
meanwhile (_deliver.py), and the interpreter removes a trace function that raises: it is put back by the next G that
comes back to a place where it was stopped, and by the next tick. On 3.11 whether anybody traces is noted
in a C frame, and a greenlet that is new or comes back has an old note: the function is set once more before each batch.

Context: the trace callback, in whatever greenlet runs; `start` and `stop` in the loop's thread; `follow` in the tick
handler.
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
from preemptio._preempt._tracers import OwnTracer, install, tracer_installed, uninstall
from preemptio._preempt._whose import COROUTINE, Whose

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
        self._on = False  # writers: start, stop
        self.stops = 0

    def start(self) -> None:
        """Install the trace function, unless somebody else traces."""
        self._on = True
        if not hasattr(sys, "monitoring"):  # of 3.12+, where tracing rests on it
            self._p.batch_began = self._again
        self.resume()

    def _again(self) -> None:
        if self.traces:
            install(self._on_event)

    def resume(self) -> None:
        """Install it again, if it is on and nobody else traces."""
        if self._on and not tracer_installed():
            install(self._on_event)  # or the next tick does

    @property
    def traces(self) -> bool:
        """Whether the trace function is the one that is installed."""
        return sys.gettrace() == self._on_event

    def follow(self, frame: FrameType) -> None:
        """Install it again in a step that stands at `frame`, where a tick has found it removed."""
        if tracer_installed() or not self._on:
            return
        at: FrameType | None = frame
        while at is not None and self._p.step is not None:
            if at.f_trace is None and self._rules.ownership.whose(at) is not Whose.RUNTIME:
                at.f_trace = self._on_event
            if at.f_code.co_flags & COROUTINE:
                break
            at = at.f_back
        self.resume()

    def stop(self) -> None:
        """Remove it."""
        self._on = False
        self._p.batch_began = None
        uninstall(self._on_event)
        self._last.clear()

    def _on_event(self, frame: FrameType, event: str, _arg: object) -> Any:
        p = self._p
        step = p.step
        if step is None or p.carrier is None:
            return None  # the hub, or a callback: no G's code, and neither is what it calls
        if event == "call":
            try:
                if self._rules.ownership.whose(frame) is Whose.RUNTIME:
                    return None
            except RecursionError:  # the frame below is the user's, and has room for what it does
                return self._on_event
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
            after = self._stop(step[0], frame)
            if after is not None:
                return after
        return self._on_event

    def _stop(self, g: G, frame: FrameType) -> Trace | None:
        """Take the CPU from the G if the rules agree; return what traces the frame then, if not we."""
        p = self._p
        if g.status is not RUNNING:
            return None
        try:
            verdict = Verdict.MASKED if p.masked(g) else self._rules.verdict(g, frame, certain=True)
        except RecursionError:  # too close to the limit is not a safe point
            return None
        except Exception as exc:  # the frame below is the user's: an error of ours must not surface there
            p.host.post(report_internal, "preemptall", exc)
            return None
        if verdict is not Verdict.SAFE:
            return None
        self.stops += 1
        p.request(g)
        after: Trace | None = sys.call_tracing(self._stop_here, (g, frame))
        self.resume()
        return after
