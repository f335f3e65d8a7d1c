"""Marking: which objects the program can still get at. For leaks, where one that was missed costs time, not truth.

A byte per place: MET, or HIDDEN for what must not be walked through - the scanner's own objects, and the insides of
blocked Gs. What is hidden is noted before the walk and so counts as met already: that costs the loop nothing.

Context: as of `_graph.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from preemptio._scan._graph import MASK, PAGE_BITS, SLOT_BITS, SLOTS, Walk, slots_of

MET: Final = 1
HIDDEN: Final = 2


class Mark(Walk):
    """A walk that remembers in a byte per place what it met."""

    def __init__(self, *, weak: bool = False) -> None:
        """Start with nothing met."""
        super().__init__(weak=weak)
        self.pages: dict[int, bytearray] = {}
        self.objects = 0  # met so far

    def hide(self, things: Iterable[Any]) -> None:
        """Do not walk through these."""
        for thing in things:
            page, slot = slots_of(self.pages, thing)
            page[slot] = HIDDEN

    def met(self, thing: Any) -> bool:
        """Report whether the walk came to an object."""
        page, slot = slots_of(self.pages, thing)
        return page[slot] == MET

    def known(self, thing: Any) -> bool:
        """Report whether an object was met or is hidden."""
        page, slot = slots_of(self.pages, thing)
        return page[slot] != 0

    def take(self, things: list[Any]) -> None:
        """Visit what was not met."""
        kinds, pages, visit = self._kinds, self.pages, self._work.append
        found = 0
        for thing in things:
            kind = kinds.get(id(type(thing)))
            if kind is None:
                kind = self.kind(type(thing))
            if kind is False:
                continue
            address = id(thing)
            page = pages.get(address >> PAGE_BITS)
            if page is None:
                page = pages[address >> PAGE_BITS] = bytearray(SLOTS)
            slot = address >> SLOT_BITS & MASK
            if page[slot]:
                continue
            page[slot] = MET
            found += 1
            if kind is True:
                visit(thing)
            else:
                kind(thing)
        self.objects += found
