"""gtop: who uses the CPU, of what has passed since the last look.

Context: the monitor's loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from prompt_toolkit.input import Input
from prompt_toolkit.keys import Keys

from preemptio._observe._metrics import gs_of
from preemptio._observe._monitor._rows import BY_NAME, Column, row

SHARE: Final = Column("share", "CPU %", "share of the time since the last look", lambda _: 0.0)
SHOWN: Final = ("id", "name", "status", "cpu", "preempted", "refused", "nice", "flags")


class Top:
    """CPU time of a loop's Gs, between two looks."""

    def __init__(self, loop: Any) -> None:
        """Take the first look."""
        self._loop = loop
        self._before = self._look()
        self._at = time.monotonic()

    def _look(self) -> dict[int, float]:
        return {g.id: g.cpu_time for g in gs_of(self._loop)}

    def rows(self, limit: int) -> tuple[list[dict[str, Any]], list[Column]]:
        """Return those that have used the most since the last look, and the columns."""
        gs = {g.id: g for g in gs_of(self._loop)}
        now = time.monotonic()
        after = {number: g.cpu_time for number, g in gs.items()}
        passed, self._at = max(now - self._at, 1e-9), now
        used = {number: cpu - self._before.get(number, 0.0) for number, cpu in after.items()}
        self._before = after
        curg = self._loop._p.curg  # its time is counted at ticks, of which a C call lets none come
        active = [number for number, g in gs.items() if used[number] > 0 or g is curg]
        first = sorted(active, key=lambda number: (gs[number] is not curg, -used[number], number))[:limit]
        rows = [{"share": f"{100 * used[number] / passed:.1f}", **row(gs[number])} for number in first]
        id_, *rest = (BY_NAME[name] for name in SHOWN)
        return rows, [id_, SHARE, *rest]


@contextmanager
def pressed(keys: Input, live: bool) -> Iterator[asyncio.Event]:
    """Give an event that is set when q, Enter or Ctrl-C is typed, or the connection has ended.

    In a pipe what was typed ahead are the next commands: they are left alone.
    """
    stop = asyncio.Event()

    def read() -> None:
        for each in keys.read_keys():
            if each.key in {"q", Keys.ControlC, Keys.ControlD, Keys.ControlM, Keys.ControlJ, Keys.Escape}:
                stop.set()
        if keys.closed:
            stop.set()

    if not live:
        yield stop
        return
    with keys.attach(read):
        yield stop
