"""gtop: who uses the CPU, of what has passed since the last look.

Context: the monitor's loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from prompt_toolkit.input import Input
from prompt_toolkit.keys import Keys

from preemptio._aio._inspect import gs_of
from preemptio._observe._monitor._ask import BUSY
from preemptio._observe._monitor._rows import BY_NAME, Column, table

SHARE: Final = Column("share", "CPU %", "share of the time since the last look", lambda _: 0.0, largest_first=True)
SHOWN: Final = ("id", "name", "status", "cpu", "preempted", "refused", "nice", "flags")


class Top:
    """CPU time of a loop's Gs, between two looks."""

    def __init__(self, loop: Any) -> None:
        """Take the first look."""
        self._loop = loop
        self._before = self._look()
        self._at = time.monotonic()
        self.shares: dict[int, float] = {}
        """Per cent of the time between the last two looks, by number of the G."""
        self.column = replace(SHARE, read=lambda g: round(self.shares.get(g.id, 0.0), 1))

    def _look(self) -> dict[int, float]:
        return {g.id: g.cpu_time for g in gs_of(self._loop)}

    def look(self) -> None:
        """Look again."""
        after, now, p = self._look(), time.monotonic(), self._loop._p
        passed = max(now - self._at, 1e-9)
        self.shares = {
            number: max(0.0, 100 * (cpu - self._before.get(number, 0.0)) / passed) for number, cpu in after.items()
        }
        # CPU time is counted at ticks, of which a call of C code lets none come.
        g, since = p.curg, max(p.now, p.resumed_at, self._at)
        if g is not None and now - max(p.now, p.resumed_at) > BUSY:
            self.shares[g.id] = max(self.shares.get(g.id, 0.0), 100 * (now - since) / passed)
        self._before, self._at = after, now

    def rows(self, limit: int) -> tuple[list[dict[str, Any]], list[Column]]:
        """Look again; return those that have used the most since the last look, and the columns."""
        self.look()
        first = table(self._loop, sort=self.column, limit=limit, extra=(self.column,)).rows
        id_, *rest = (BY_NAME[name] for name in SHOWN)
        return [each for each in first if each["share"]], [id_, self.column, *rest]


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
