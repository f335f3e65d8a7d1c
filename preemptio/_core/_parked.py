"""The parked queue: steps that were preempted, and who of them runs on next.

Problem. A preempted step must get the CPU back, but never at the price of the work that it was preempted for:
with N hogs queued like ordinary steps, one turn of the loop would take N slices.

What we do. Parked steps are a class of their own. One is resumed at a time: when the loop was quiet for two turns,
or when its fair share is due although the loop is never quiet. Among them the one with the least CPU time goes
first, weighted by `nice` as CFS does it: a factor of 1.25 per step. A G of the background class is resumed only
when the loop is quiet and nothing else is parked, and its ordinary steps wait here too, until then.

The fair share. With n parked Gs beside a busy loop, one is resumed every `max(1, 4 / n)` slices: a lone hog gets
a fifth of the CPU, four or more share a half. So neither I/O nor hogs starve, and I/O wins.

Who says by `charge()` that its slice is used up has used it up, whatever the clock says. Else it would keep the least
time of all, and a thousand of them that hand over every few microseconds would shut everybody else out for minutes.

A newcomer's virtual time is lifted to the queue's own (less one slice), else a fresh hog would shut out one that
has run for an hour until it had caught up.

CPU time is never the same twice, and an order by it neither. So under fault injection they go on in the order in which
they came (`in_order`): what a seed finds, it finds again.

Context: the hub, except `push` and `use_up`, which run on the carrier that is about to be left. Loop's thread only.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from greenlet import greenlet

    from preemptio._core._carrier import Carrier
    from preemptio._core._g import G

NICE_WEIGHT: Final = 1.25
"""CPU share lost per step of nice, as Linux's CFS has it: ten steps are a factor of nine."""

BUSY_SLICES: Final = 4
"""Slices that a loop which is never quiet gets for each one of a lone parked G."""

QUIET_TURNS: Final = 2
"""Turns without anything ready after which a parked G may run: one may only mean that I/O is on its way."""

Step = tuple["G", Callable[..., Any], tuple[Any, ...], Any]
"""A captured task step: the G, asyncio's step callback, its arguments, the context to run it in."""


def entered_context(step: Step) -> object:
    """Return the context that the step enters when it runs; a host may wrap it, and then says which it is."""
    return getattr(step[3], "entered", step[3])


@dataclass(slots=True, eq=False)
class Parked:
    """Where a G stands while it is off its carrier in the middle of a step."""

    g: G
    carrier: Carrier
    standing_on: greenlet  # the carrier, or a child greenlet of the step (SQLAlchemy, greenback)
    step: Step
    token: object  # what the host swapped out: asyncio's current task
    throw: BaseException | None = None  # raised at the place where it stands, when it is resumed
    killed: bool = field(default=False)  # its loop is gone: it must not be resumed by the queue


class ParkedQueue:
    """Parked Gs, least weighted CPU time first; the background class last."""

    __slots__ = ("_min_vruntime", "_seq", "heap", "in_order", "since", "slice")

    def __init__(self, slice_seconds: float) -> None:
        """Make an empty queue for slices of this many seconds."""
        self.heap: list[tuple[bool, float, int, Parked | Step]] = []  # hosts test it for emptiness once a turn
        self._seq = 0
        self._min_vruntime = 0.0
        self.slice = slice_seconds
        self.in_order = False  # first come, first served; writer: fault injection
        self.since = 0.0  # monotonic time at which the last resumed G gave the CPU back; writer: the processor

    def __len__(self) -> int:
        """Return how many are parked."""
        return len(self.heap)

    def push(self, g: G, entry: Parked | Step) -> None:
        """Queue a preempted step, or the next step of a G of the background class."""
        extra = g.extra()
        extra.vruntime = max(extra.vruntime, self._min_vruntime - self.slice)
        self._seq += 1
        key = 0.0 if self.in_order else extra.vruntime
        heapq.heappush(self.heap, (extra.background, key, self._seq, entry))

    def use_up(self, g: G, ran: float) -> None:
        """Count what is left of the slice of a G, of which it ran so many seconds, as if it had run that, too."""
        extra = g.extra()
        extra.vruntime += max(0.0, self.slice - ran) * NICE_WEIGHT**extra.nice

    def due(self, now: float, quiet: int) -> bool:
        """Report whether the head should be resumed now. `quiet`: turns in a row with nothing ready."""
        if not self.heap:
            return False
        if quiet >= QUIET_TURNS:
            return True
        if self.heap[0][0]:
            return False
        return now - self.since >= self.slice * max(1.0, BUSY_SLICES / len(self.heap))

    def pop(self) -> Parked | Step:
        """Take the head: the G that had the least."""
        _, vruntime, _, entry = heapq.heappop(self.heap)
        self._min_vruntime = max(self._min_vruntime, vruntime)
        return entry

    def remove(self, record: Parked) -> bool:
        """Take one record out, wherever it is; report whether it was there."""
        for index, entry in enumerate(self.heap):
            if entry[3] is record:
                self.heap[index] = self.heap[-1]
                self.heap.pop()
                heapq.heapify(self.heap)
                return True
        return False

    def entries(self) -> list[Parked | Step]:
        """Return what is queued in the order in which it would run."""
        return [entry[3] for entry in sorted(self.heap, key=lambda entry: entry[:3])]
