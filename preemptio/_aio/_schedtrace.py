"""schedtrace: a line about the scheduler every so many milliseconds, as GODEBUG=schedtrace=X prints it.

For whoever wants to see on any machine, without tools, whether tasks queue up and who has the CPU. Off unless
PREEMPTIO_DEBUG=schedtrace=MS says so; `scheddetail=1` adds a line for the processor (P), for each carrier (M) and for
each G, in Go's manner: what is known of each as key=value, statuses by number, `nil` for nobody.

It is said as an event. Where structlog is not configured the lines stand alone on standard error, as Go's do.

Context: a timer of the loop itself, so a loop that is stuck prints nothing, which says it all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from preemptio._aio._inspect import all_gs
from preemptio._log import report_schedtrace

if TYPE_CHECKING:
    import asyncio

    from preemptio._core._carrier import Carrier
    from preemptio._core._g import G


class SchedTrace:
    """Says what one loop's processor does, periodically."""

    def __init__(self, loop: Any, period_ms: int, *, detail: bool) -> None:
        """Start with the next turn of the loop."""
        self._loop = loop
        self._period = period_ms / 1000
        self._detail = detail
        self._start = time.monotonic()
        self._timer: asyncio.TimerHandle = self._loop.call_later(self._period, self._say)

    def stop(self) -> None:
        """Say no more."""
        self._timer.cancel()

    def _say(self) -> None:
        report_schedtrace(list(self.lines()))
        self._timer = self._loop.call_later(self._period, self._say)

    def lines(self) -> Iterator[str]:
        """Yield what is said."""
        p = self._loop._p
        gs = all_gs(self._loop)
        elapsed = int((time.monotonic() - self._start) * 1000)
        yield (
            f"SCHED {elapsed}ms: goroutines={len(gs)} runqueue={p.host.backlog()} parked={len(p.parked)} "
            f"standing={len(p.standing)} idlecarriers={len(p.idle)} schedtick={p.schedtick} "
            f"preempted={p.nparked_ever} source={self._loop._ticker.source} slice={p.slice * 1e3:g}ms"
        )
        if not self._detail:
            return
        yield (
            f"  P0: status={int(p.active)} schedtick={p.schedtick} m={_id(p.carrier)} curg={_id(p.curg)} "
            f"runqsize={p.host.backlog()} parked={len(p.parked)} held={len(p.holds)} ticking={int(p.armed)}"
        )
        on: dict[G, Carrier] = {g: record.carrier for g, record in p.standing.items()}
        if p.carrier is not None:
            yield _carrier(p.carrier, p.curg, "running")
        for g, carrier in on.items():
            yield _carrier(carrier, g, "standing")
        for carrier in p.idle:
            yield _carrier(carrier, None, "idle")
        for g in gs:
            why = f"({g.wait_reason})" if str(g.wait_reason) else ""
            yield (
                f"  G{g.id}: status={g.status.value}{why} m={_id(on.get(g))} name={g.name} slices={g.slices} "
                f"cpu={g.cpu_time:.6f}s locks={g.locks} preempt={int(g.preempt)} parked={int(g.parked)}"
            )


def _carrier(carrier: Carrier, g: G | None, state: str) -> str:
    locks, off = (0, "") if g is None else (g.locks, g.reason)
    return (
        f"  M{carrier.id}: p={0 if state == 'running' else 'nil'} curg={_id(g)} state={state} preemptoff={off} "
        f"locks={locks} preemptgen={carrier.preempt_gen}"
    )


def _id(thing: G | Carrier | None) -> str:
    return "nil" if thing is None else str(thing.id)
