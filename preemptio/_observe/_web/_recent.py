"""The last seconds as the page draws them: who had the CPU, when it was taken, when it could not be.

The recorder may write a hundred thousand records in a second. Once a second what is new is read, and put into bins that
are as wide as some pixels: nanoseconds of CPU, preemptions and refusals, of each G. Bins that are too old go.

A G whose slice has not ended has no record of it yet; its time is counted until now, each time anew.

Context: the monitor's loop. Nothing goes through the loop that is watched.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from preemptio._observe._trace import _records as records
from preemptio._observe._trace._ring import RECORD, SIZE

if TYPE_CHECKING:
    from preemptio._observe._trace._flight import Flight
    from preemptio._observe._trace._ring import Mark

BIN: Final = 25_000_000
"""Nanoseconds."""
BINS: Final = 400
LANES: Final = 10
MOST: Final = 60_000
"""Records that are read at a time; of more the newest."""

Bins = dict[int, int]


class Lane:
    """What one G did."""

    __slots__ = ("cpu", "preempted", "refused")

    def __init__(self) -> None:
        """Start with nothing."""
        self.cpu: Bins = {}
        self.preempted: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()

    def ran(self, start: int, end: int) -> None:
        """Count a slice."""
        _spread(self.cpu, start, end)

    def forget(self, before: int) -> bool:
        """Drop old bins; report whether anything is left."""
        for bins in (self.cpu, self.preempted, self.refused):
            for number in [number for number in bins if number < before]:
                del bins[number]
        return bool(self.cpu or self.preempted or self.refused)


def _spread(bins: Bins, start: int, end: int) -> None:
    number, last = start // BIN, end // BIN
    if last - number > BINS:
        number = last - BINS
    for each in range(number, last + 1):
        part = min(end, (each + 1) * BIN) - max(start, each * BIN)
        if part > 0:
            bins[each] = bins.get(each, 0) + part


class Recent:
    """The bins of one recorder."""

    def __init__(self, flight: Flight) -> None:
        """Begin with what it has."""
        self.flight = flight
        self._mark: Mark | None = None
        self._lanes: dict[int, Lane] = {}
        self._names: dict[int, str] = {}  # of those that have a lane, also when they have ended

    def read(self) -> None:
        """Take in what is new."""
        parts, self._mark = self.flight.ring.since(self._mark)
        data = b"".join(parts)[-MOST * SIZE :]
        lanes = self._lanes
        for kind, sub, _, _, g, t, x in RECORD.iter_unpack(data):
            if kind == records.SLICE:
                lane = lanes.get(g) or lanes.setdefault(g, Lane())
                lane.ran(t, t + x)
                if sub:
                    lane.preempted[(t + x) // BIN] += 1
            elif kind == records.REFUSED:
                (lanes.get(g) or lanes.setdefault(g, Lane())).refused[t // BIN] += 1
        oldest = time.perf_counter_ns() // BIN - BINS
        self._lanes = {g: lane for g, lane in lanes.items() if lane.forget(oldest)}

    def picture(self, names: dict[int, str]) -> dict[str, Any]:
        """Return the lanes of those that have used the most, and one for all others; shares are per cent of a bin."""
        self._names = {g: names.get(g) or self._names.get(g, f"G {g}, which has ended") for g in self._lanes}
        now = time.perf_counter_ns()
        first = now // BIN - BINS + 1
        cpu = {g: dict(lane.cpu) for g, lane in self._lanes.items()}
        running = self.flight.running()
        if running is not None:
            _spread(cpu.setdefault(running[0].id, {}), running[1], now)
        used = {g: sum(bins.values()) for g, bins in cpu.items()}
        chosen = sorted(sorted(used, key=lambda g: -used[g])[:LANES])
        others: Bins = {}
        for g, bins in cpu.items():
            if g not in chosen:
                for number, part in bins.items():
                    others[number] = others.get(number, 0) + part
        lanes = [
            {
                "g": g,
                "name": self._names.get(g) or names.get(g, ""),
                "cpu": _shares(cpu[g], first),
                "preempted": _sparse(self._lanes[g].preempted if g in self._lanes else Counter(), first),
                "refused": _sparse(self._lanes[g].refused if g in self._lanes else Counter(), first),
            }
            for g in chosen
        ]
        if others:
            name = f"{len(cpu) - len(chosen)} others"
            lanes.append({"g": 0, "name": name, "cpu": _shares(others, first), "preempted": [], "refused": []})
        return {"seconds": BIN * BINS / 1e9, "bins": BINS, "lanes": lanes}


def _shares(bins: Bins, first: int) -> list[int]:
    return [min(100, -(-100 * bins.get(number, 0) // BIN)) for number in range(first, first + BINS)]


def _sparse(counts: Counter[int], first: int) -> list[tuple[int, int]]:
    return [(number - first, n) for number, n in sorted(counts.items()) if first <= number < first + BINS]
