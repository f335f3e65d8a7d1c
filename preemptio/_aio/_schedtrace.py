"""schedtrace: a line about the scheduler every so many milliseconds, as GODEBUG=schedtrace=X prints it.

For whoever wants to see on any machine, without tools, whether tasks queue up and who has the CPU. Off unless
PREEMPTIO_DEBUG=schedtrace=MS says so; `scheddetail=1` adds a line per G.

Context: a timer of the loop itself, so a loop that is stuck prints nothing, which says it all.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from preemptio._aio._inspect import all_gs


class SchedTrace:
    """Prints the state of one loop's processor to stderr, periodically."""

    def __init__(self, loop: Any, period_ms: int, *, detail: bool) -> None:
        """Start with the next turn of the loop."""
        self._loop = loop
        self._period = period_ms / 1000
        self._detail = detail
        self._start = time.monotonic()
        self._timer: asyncio.TimerHandle = self._loop.call_later(self._period, self._print)

    def stop(self) -> None:
        """Print no more."""
        self._timer.cancel()

    def _print(self) -> None:
        sys.stderr.write("\n".join(self.lines()) + "\n")
        self._timer = self._loop.call_later(self._period, self._print)

    def lines(self) -> list[str]:
        """Return what is printed."""
        p = self._loop._p
        gs = all_gs(self._loop)
        elapsed = int((time.monotonic() - self._start) * 1000)
        line = (
            f"SCHED {elapsed}ms: goroutines={len(gs)} runqueue={p.host.backlog()} parked={len(p.parked)} "
            f"standing={len(p.standing)} idlecarriers={len(p.idle)} schedtick={p.schedtick} "
            f"preempted={p.nparked_ever} source={self._loop._ticker.source} slice={p.slice * 1e3:g}ms"
        )
        lines = [line]
        if self._detail:
            for g in gs:
                why = f"({g.wait_reason})" if str(g.wait_reason) else ""
                lines.append(
                    f"  G{g.id}: status={g.status.value}{why} name={g.name} slices={g.slices} cpu={g.cpu_time:.6f}s "
                    f"locks={g.locks} preempt={int(g.preempt)} parked={int(g.parked)}"
                )
        return lines
