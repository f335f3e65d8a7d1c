"""Meter: the instrument that measures what the scheduler does not count anyway.

Problem. Two times of every step are asked for, how long it waited and how long it ran. To read the clock twice a step
costs a fifth of it.

What we do. One step in so many by count, chosen by the table of instruments. Of such a step everything is measured:
each part, if it is preempted in between, so every part of any step has the same chance. The wait that is measured is
the next one of the same G: its own is over when the step is told of (`_probe.py`). A preempted G is told of always, so
its waits are a population of their own and never in the same histogram. CPU time comes by label whenever it is charged.

Invariants. `_running` has the sampled steps that are under way, `_preempted` the Gs that were preempted and nobody has
suspended since; what a hook does not find there it was not meant to measure.

Context: the loop's thread; `charged` also in the tick handler. Readers in any thread copy.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from preemptio._core._gstatus import RUNNABLE
from preemptio._core._instruments import Instrument
from preemptio._core._parked import entered_context
from preemptio._core._probe import probe
from preemptio._observe._histogram import NS, Recorder
from preemptio._observe._label import LABEL, LABELS, OTHER
from preemptio._observe._table import EVERY, TURNS

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._processor import Processor
    from preemptio._core._reasons import PreemptKind

_now: Final = time.perf_counter_ns


class Meter(Instrument):
    """Measures one loop."""

    every = EVERY

    def __init__(self, p: Processor) -> None:
        """Start with nothing measured."""
        self._p = p
        self.since = time.monotonic()
        self.schedule, self.run, self.preempted = Recorder(), Recorder(), Recorder()
        self.turn, self.suspend = Recorder(), Recorder()
        self.stopping: dict[str, Recorder] = {}
        self.total: dict[str, Recorder] = {}
        self.cpu: dict[str, float] = {}
        self.active = self.idle = 0  # nanoseconds in turns, and between them
        self._turns = self._began = self._ended = 0  # number; times of the last two, 0: not known
        self._tell = self._waited  # bound once
        self._running: dict[G, int] = {}
        self._preempted: dict[G, int] = {}

    def started(self, g: G) -> None:
        """Note when a sampled step begins or goes on, and how long a preempted one has waited for that."""
        now = _now()
        extra = g._extra
        if extra.parked is None:
            self._running[g] = now
            if extra.probe is None:  # there is room for one
                probe(g, self._tell)
            return
        since = self._preempted.pop(g, 0)
        if since:
            self.preempted.record(now - since)
        if g in self._running:
            self._running[g] = now

    def stopped(self, g: G, kind: PreemptKind | None) -> None:
        """Record how long it ran."""
        now = _now()
        since = self._running.pop(g, 0)
        if since:
            self.run.record(now - since)
        if g._extra.parked is not None:
            if since:
                self._running[g] = now
            if kind is not None and g.status is RUNNABLE:  # not: stopped for a suspender
                self._preempted[g] = now

    def _waited(self, seconds: float) -> None:
        self.schedule.record(int(seconds * 1e9))

    def charged(self, g: G, seconds: float) -> None:
        """Put it to the label that the step of the G has."""
        step = self._p.step
        context = None if step is None or step[0] is not g else entered_context(step)
        name = context.get(LABEL, "") if context is not None else ""  # type: ignore[attr-defined]  # a Context
        name = _bounded(self.cpu, name)
        self.cpu[name] = self.cpu.get(name, 0.0) + seconds

    def turn_began(self) -> None:
        """Add the time since the last turn."""
        self._began = now = _now()
        if self._ended:
            self.idle += now - self._ended

    def turn_ended(self) -> None:
        """Add the time of the turn, and record it if it is a sample."""
        self._ended = now = _now()
        if self._began:
            took = now - self._began
            self.active += took
            self._turns += 1
            if not self._turns % TURNS:
                self.turn.record(took)
            self._began = 0

    def suspended(self, g: G, seconds: float) -> None:
        """Record how long that took."""
        self.suspend.record(int(seconds / NS))

    def released(self, g: G) -> None:
        """Forget when it was preempted: it has not waited for the CPU all the time since."""
        self._preempted.pop(g, None)

    def world_stopped(self, reason: str, stopping: float) -> None:
        """Record how long that took."""
        self.stopping.setdefault(_bounded(self.stopping, reason), Recorder()).record(int(stopping / NS))

    def world_started(self, reason: str, total: float) -> None:
        """Record how long it stood."""
        self.total.setdefault(_bounded(self.total, reason), Recorder()).record(int(total / NS))


def _bounded(known: dict[str, object] | dict[str, float] | dict[str, Recorder], name: str) -> str:
    """Return the name, or what stands for all that there is no room for."""
    return name if name in known or len(known) < LABELS else OTHER
