"""Starvation: a G that could run and is not let to.

Problem. Who waits for I/O is late and says so. Who is in the parked queue - preempted, or of the background class - is
merely never heard of again, if others always come first: by their `nice`, or because the loop is never quiet.

What does not work. A stamp per step that is queued: it costs a twentieth of the step. The G's `last_run`: one that
slept for an hour and was made ready just now has an old one.

What we do. Two looks at the parked queue, one knob apart. A G that is in it at both, and has not had the CPU in
between, has waited at least that long. A look costs what is parked; there are none while nothing is. Who waits
in the ordinary queue waits for the loop to turn, which is a slow step's affair. Of those that a
look finds one is told of, and the number of the others: where one starves a thousand may.

Context: `parked` wherever a G is put into the queue, the tick handler included; `_look` in a timer of the loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from preemptio._core._instruments import Instrument
from preemptio._core._parked import Parked
from preemptio._log import Repeats, report_starving

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._processor import Processor


class Starvation(Instrument):
    """Reports a loop's Gs that have waited in the parked queue for `seconds`, twice, ten times as long, and so on."""

    def __init__(self, p: Processor, seconds: float) -> None:
        """Start with nobody seen."""
        self._p = p
        self._seconds = seconds
        self._watching = False
        self._seen: dict[int, int] = {}  # ids, which keep nobody, of who was parked at the last look; its slices then
        self._looks = Repeats()

    def parked(self, g: G) -> None:
        """Begin to look, when the first G is parked."""
        if not self._watching:
            self._watching = True
            self._seen = {g.id: g.slices}
            self._p.host.call_after(self._seconds, self._look)

    def _look(self) -> None:
        """Report who has not had the CPU since the last look; look again if anybody is parked."""
        heap = self._p.parked.heap
        parked = [(entry.g if isinstance(entry, Parked) else entry[0]) for _, _, _, entry in heap]
        starving = {g.id: g for g in parked if self._seen.get(g.id) == g.slices}
        self._looks = Repeats({key: n for key, n in self._looks.items() if key in starving})
        waited = {key: looks for key in sorted(starving) if (looks := self._looks.count(key))}
        if waited:
            longest = max(waited, key=lambda key: waited[key])
            report_starving(starving[longest], waited[longest] * self._seconds, len(heap), len(waited) - 1)
        self._seen = {g.id: g.slices for g in parked}
        self._watching = bool(parked)
        if parked:
            self._p.host.call_after(self._seconds, self._look)
