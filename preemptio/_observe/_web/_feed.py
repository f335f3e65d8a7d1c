"""What the page is told once a second.

What all see alike - the timeline, the histogram, the queue - is made once a second, and only while
somebody looks. The table is made for each, as it is sorted and filtered there.

Context: the monitor's loop. Nothing goes through the loop that is watched, so this works while that is stuck.
"""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from preemptio._aio._explain import explain
from preemptio._aio._inspect import gs_of
from preemptio._core._parked import Parked
from preemptio._core._reasons import Verdict
from preemptio._observe._histogram import Histogram
from preemptio._observe._metrics import meter_of
from preemptio._observe._monitor._ask import busy
from preemptio._observe._monitor._rows import BY_NAME, COLUMNS, Column, table
from preemptio._observe._monitor._top import Top
from preemptio._observe._trace._flight import flight_of
from preemptio._observe._web._recent import Recent

if TYPE_CHECKING:
    from preemptio._observe._monitor._control import Control

EVERY: Final = 1.0
"""Seconds."""

WINDOW: Final = 10
"""Seconds that the histogram is about."""

STUCK: Final = 0.5
"""Seconds without a turn after which the page says so."""

QUEUED: Final = 50
"""Parked Gs that are shown."""


class Feed:
    """One loop, as it is shown."""

    def __init__(self, control: Control) -> None:
        """Start with nothing known."""
        self._control = control
        self._loop = control.loop
        self._top = Top(control.loop)
        self._recent: Recent | None = None
        self._at = 0.0
        self._told: dict[str, Any] = {}
        self._before: deque[tuple[float, Histogram, Histogram, int]] = deque(maxlen=WINDOW + 1)

    def columns(self) -> list[dict[str, Any]]:
        """Describe the table's columns."""
        return [
            {"name": each.name, "title": each.title, "doc": each.doc, "unit": each.unit, "number": each.largest_first}
            for each in (self._top.column, *COLUMNS)
        ]

    def tell(self, *, sort: str, reverse: bool, status: str, match: str, limit: int) -> dict[str, Any]:
        """Return everything that is shown, for one who looks."""
        self._refresh()
        share: Column = self._top.column
        column = share if sort == share.name else BY_NAME[sort]
        found = table(self._loop, status=status, match=match, sort=column, reverse=reverse, limit=limit, extra=(share,))
        shown = {"rows": found.rows, "matching": found.matching, "total": found.total, "by_status": found.by_status}
        return {**self._told, "table": shown}

    def _refresh(self) -> None:
        """Look again, if the last look is old."""
        now = time.monotonic()
        if now - self._at < EVERY / 2:
            return
        self._at = now
        self._top.look()
        self._told = {
            "pid": os.getpid(),
            "loop": self._head(),
            "busy": self._busy(),
            "cpu": self._cpu(),
            "latency": self._latency(now),
            "timeline": self._timeline(),
            "parked": self._parked(),
            "leaks": self._leaks(now),
        }

    def _head(self) -> dict[str, Any]:
        loop, p = self._loop, self._loop._p
        state = "running" if loop._running_since is not None else "closed" if loop.is_closed() else "not running"
        return {
            "kind": type(loop).__name__,
            "state": state,
            "source": loop._ticker.source,
            "slice": p.slice,
            "queue": p.host.backlog(),
            "parked": len(p.parked),
            "slices": p.schedtick,
            "preempted": p.nparked_ever,
        }

    def _busy(self) -> dict[str, Any] | None:
        who = busy(self._loop)
        if who is None or who.seconds < STUCK:
            return None
        found = explain(g=who.g)
        can = "is about to be preempted" if found.verdict is Verdict.SAFE else f"cannot be preempted ({found.verdict})"
        why = f"It {can} at {found.where}."
        advice = f"\n{found.advice[0].upper()}{found.advice[1:]}." if found.advice else ""
        return {"g": who.g.id, "seconds": who.seconds, "text": f"{who}. {why}{advice}"}

    def _cpu(self) -> dict[str, Any]:
        """Return how much of the time tasks had the CPU, and who had the most of it."""
        shares = self._top.shares
        most = max(shares, key=lambda number: shares[number], default=0)
        name = next((_name(g) for g in gs_of(self._loop) if g.id == most), "") if shares.get(most) else ""
        return {"all": sum(shares.values()), "first": name}

    def _latency(self, now: float) -> dict[str, Any] | None:
        """Return how long steps, and preempted Gs, have waited for the CPU in the last seconds."""
        meter = meter_of(self._loop)
        if meter is None:
            self._before.clear()
            return None
        steps, preempted, count = meter.schedule.snapshot(), meter.preempted.snapshot(), self._loop._p.nparked_ever
        self._before.append((now, steps, preempted, count))
        then, steps_then, preempted_then, count_then = self._before[0]
        if steps_then.count > steps.count:  # it was disabled and enabled meanwhile
            self._before.clear()
            return None
        bars = [_bars(steps - steps_then), _bars(preempted - preempted_then)]
        return {
            "seconds": now - then,
            "rate": (count - count_then) / (now - then) if now > then else 0.0,
            "bounds": [bound for bound, _ in steps.buckets()],
            "series": [
                {"name": "ready", "bars": bars[0], **_percentiles(steps - steps_then)},
                {"name": "preempted", "bars": bars[1], **_percentiles(preempted - preempted_then)},
            ],
        }

    def _timeline(self) -> dict[str, Any] | None:
        flight = flight_of(self._loop)
        if flight is None:
            self._recent = None
            return None
        if self._recent is None or self._recent.flight is not flight:
            self._recent = Recent(flight)
        self._recent.read()
        return self._recent.picture({g.id: _name(g) for g in gs_of(self._loop)})

    def _parked(self) -> list[dict[str, Any]]:
        entries = self._loop._p.parked.entries()[:QUEUED]
        gs = [entry.g if isinstance(entry, Parked) else entry[0] for entry in entries]
        return [{"id": g.id, "name": _name(g), "nice": g.nice, "background": g.background} for g in gs]

    def _leaks(self, now: float) -> dict[str, Any] | None:
        if self._control.found is None:
            return None
        at, leaks = self._control.found
        told = [
            {"id": each.g.id, "name": each.name, "waits": str(each.wait_reason), "age": each.age, "at": each.created_at}
            for each in leaks
        ]
        return {"ago": now - at, "found": told}


def _name(g: Any) -> str:
    try:
        return str(g.name)
    except Exception:  # the task's class is the user's
        return f"G-{g.id}"


def _bars(histogram: Histogram) -> list[int]:
    """Return how many fell between each bound and the one before; the last also has what is beyond."""
    below = [n for _, n in histogram.buckets()]
    counts = [n - before for n, before in zip(below, [0, *below], strict=False)]
    counts[-1] += histogram.count - below[-1]
    return counts


def _percentiles(histogram: Histogram) -> dict[str, float | int]:
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {"count": histogram.count, **{name: histogram.percentile(share) for name, share in shares.items()}}
