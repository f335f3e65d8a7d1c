"""Retained sizes: what each G alone keeps alive, and what it shares with which others.

Problem. An object that one G reaches, and nothing else, goes away with it. To know that of every object, each has to be
reached from everything.

What we do. Colours, in two bytes per place. First everything is coloured PROGRAM that globals, timers, I/O and other
threads reach: that is nobody's. Then one G after the other walks on from its roots and adds itself to the colour of
what it meets. A colour is a set of up to FEW Gs, and then MANY. Where a G's walk changes nothing it turns back, so an
object is visited FEW + 1 times at the most, however many Gs share it. The sums per colour are kept as colours change.

A G's own task and coroutine are its own whoever refers to them, and are not walked through from elsewhere.

An approximation. The program runs on while this goes on: what was dropped since still counts, and what moved from one
G to another counts for both. What is made since, at the address of something that was met and freed, counts for who
had that, or for nobody. Gs that ran since their roots were taken are walked from again, the last of them from roots
that are taken at one moment, in which nothing else runs: sixteen at the most, so that it is short. A size that
changed is taken off and put on as it is by then. What C code refers to is not seen. What several variables of one G
lead to counts for the first.

Context: the scanner's G.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from preemptio._scan._graph import MASK, PAGE_BITS, SLOT_BITS, SLOTS, Taker, Walk
from preemptio._scan._sizes import Sizer, sizer_of

if TYPE_CHECKING:
    from preemptio._core._g import G

PROGRAM: Final = 1
MANY: Final = 2
HIDDEN: Final = 0xFFFF

FEW: Final = 4
"""Gs that may share something and be named."""

TOP: Final = 10
"""Variables of a G that are named."""

_ZEROS: Final = bytes(2 * SLOTS)


class Colours(Walk):
    """A walk that remembers which Gs reach what."""

    chunk = 128  # to ask for a size, and to count it, takes four times as long as to mark

    def __init__(self) -> None:
        """Start with nothing reached."""
        super().__init__()
        self.pages: dict[int, array[int]] = {}
        self.sets: list[frozenset[int]] = [frozenset()] * 3  # by colour
        self.objects: defaultdict[int, int] = defaultdict(int)  # by colour, as are the bytes
        self.bytes: defaultdict[int, int] = defaultdict(int)
        self._numbers: dict[frozenset[int], int] = {}
        self._sizers: dict[int, Sizer] = {}  # by id of the class
        self._next: dict[int, int] = {}  # what a colour becomes in the walk of this owner
        self._owner = 0
        self.own(0)

    def own(self, owner: int) -> int:
        """Walk for another G, numbered from 1, or the program, 0; return the colour of what it alone reaches."""
        self._owner = owner
        self._next = {HIDDEN: HIDDEN, PROGRAM: PROGRAM}
        return self._mix(0)

    def _mix(self, old: int) -> int:
        """Return what a colour becomes when this owner is added."""
        if self._owner == 0:
            new = PROGRAM
        elif old == MANY:
            new = MANY
        else:
            owners = self.sets[old] | {self._owner}
            new = MANY if len(owners) > FEW else self._number(owners)
        self._next[old] = new
        return new

    def _number(self, owners: frozenset[int]) -> int:
        number = self._numbers.get(owners)
        if number is None:
            if len(self.sets) >= HIDDEN:
                return MANY
            number = self._numbers[owners] = len(self.sets)
            self.sets.append(owners)
        return number

    def hide(self, things: Iterable[Any]) -> None:
        """Do not walk through these, nor count them."""
        for thing in things:
            self._page(id(thing))[id(thing) >> SLOT_BITS & MASK] = HIDDEN

    def count(self, thing: Any) -> None:
        """Count a hidden object for the owner of this walk."""
        colour = self._next.get(0) or self._mix(0)
        self.objects[colour] += 1
        self.bytes[colour] += self._size(type(thing))(thing)

    def _page(self, address: int) -> array[int]:
        page = self.pages.get(address >> PAGE_BITS)
        if page is None:
            page = self.pages[address >> PAGE_BITS] = array("H", _ZEROS)
        return page

    def _size(self, cls: type) -> Sizer:
        sizer = self._sizers.get(id(cls))
        if sizer is None:
            sizer = self._sizers[id(cls)] = sizer_of(cls)
            self._classes.append(cls)
        return sizer

    def take(self, things: list[Any]) -> None:
        """Add the owner to the colour of what is met; visit that where it changed."""
        pages, following, kinds, sizers = self.pages, self._next, self._kinds, self._sizers
        objects, bytes_ = self.objects, self.bytes
        for thing in things:
            address = id(thing)
            page = pages.get(address >> PAGE_BITS) or self._page(address)
            slot = address >> SLOT_BITS & MASK
            old = page[slot]
            new = following.get(old) or self._mix(old)
            if new == old:
                continue
            page[slot] = new
            cls = type(thing)
            size = (sizers.get(id(cls)) or self._size(cls))(thing)
            if old:
                objects[old] -= 1
                bytes_[old] -= size
            objects[new] += 1
            bytes_[new] += size
            kind: Taker | bool | None = kinds.get(id(cls))
            if kind is None:
                kind = self.kind(cls)
            if kind is True:
                self._work.append(thing)
            elif kind is not False:
                kind(thing)


@dataclass(slots=True, frozen=True)
class Held:
    """What one variable, or another root, keeps alive."""

    name: str
    """The variable and where its frame stands, or what else refers to it."""
    objects: int
    """Objects that its G alone keeps alive, and that are reached from here first."""
    size: int
    """Their bytes."""


@dataclass(slots=True, frozen=True)
class Retained:
    """What one task keeps alive."""

    g: G
    """Its G."""
    name: str
    """The task's name."""
    objects: int
    """Objects that only this task reaches."""
    size: int
    """Their bytes: about what is freed when it ends."""
    shared_objects: int
    """Objects that it shares with up to three other tasks, and nothing else reaches."""
    shared_size: int
    """Their bytes."""
    shared_with: tuple[tuple[G, int], ...]
    """Those tasks, and the bytes that each is a party to, most first; at most ten."""
    roots: tuple[Held, ...]
    """Its largest variables, at most ten."""

    def __str__(self) -> str:
        """Describe it in a few lines."""
        lines = [f'G {self.g.id} "{self.name}": {self.size:,} bytes in {self.objects:,} objects']
        if self.shared_size:
            names = ", ".join(f'"{g.name}"' for g, _ in self.shared_with[:3])
            lines[0] += f", {self.shared_size:,} shared with {names}"
        lines += [f"    {held.size:>12,}  {held.name}" for held in self.roots]
        return "\n".join(lines)


@dataclass(slots=True, frozen=True)
class Retention:
    """What the tasks of a loop keep alive. It refers to nothing that they hold."""

    tasks: tuple[Retained, ...]
    """Each task, largest first."""
    program_objects: int
    """Objects that globals, timers, I/O or other threads reach."""
    program_size: int
    """Their bytes."""
    common_objects: int
    """Objects that more than four tasks share."""
    common_size: int
    """Their bytes."""

    def of(self, task: Any) -> Retained:
        """Return what a task, or a G, keeps alive.

        Raises:
            KeyError: it was not there when the scan began, or had ended.
        """
        g = getattr(task, "g", task)
        for each in self.tasks:
            if each.g is g:
                return each
        msg = f"{task!r} was not scanned"
        raise KeyError(msg)

    def __str__(self) -> str:
        """List the largest ten."""
        whose = f"{self.common_size:,} bytes common to many, {self.program_size:,} the program's"
        return "\n".join([f"{len(self.tasks)} tasks; {whose}", *map(str, self.tasks[:10])])


class Summary:
    """What was found, added up."""

    def __init__(self, colours: Colours, gs: dict[G, int]) -> None:
        """Begin. `gs`: the numbers of the Gs."""
        self._colours = colours
        self._gs = gs
        self._tasks: list[Retained] = []

    def steps(self, held: dict[G, dict[str, Held]]) -> Iterator[None]:
        """Add up, with a pause here and there."""
        colours = self._colours
        by_number = {number: g for g, number in self._gs.items()}
        alone: dict[int, tuple[int, int]] = {}
        shared: defaultdict[int, list[tuple[frozenset[int], int, int]]] = defaultdict(list)
        for colour in range(MANY + 1, len(colours.sets)):
            owners = colours.sets[colour]
            found = max(0, colours.objects[colour]), max(0, colours.bytes[colour])
            if len(owners) == 1:
                alone[next(iter(owners))] = found
            elif found[0]:
                for number in owners:
                    shared[number].append((owners, *found))
            yield
        for g, number in self._gs.items():
            partners: defaultdict[int, int] = defaultdict(int)
            for owners, _, size in shared[number]:
                for other in owners - {number}:
                    partners[other] += size
            ranked = sorted(partners.items(), key=lambda item: -item[1])
            roots = sorted(held[g].values(), key=lambda each: -each.size)
            self._tasks.append(
                Retained(
                    g,
                    g.name,
                    *alone.get(number, (0, 0)),
                    sum(objects for _, objects, _ in shared[number]),
                    sum(size for _, _, size in shared[number]),
                    tuple((by_number[other], size) for other, size in ranked[:TOP]),
                    tuple(each for each in roots[:TOP] if each.size > 0),
                )
            )
            yield

    def retention(self) -> Retention:
        """Return the report."""
        found = self._colours
        self._tasks.sort(key=lambda each: -each.size)
        sums = [found.objects[PROGRAM], found.bytes[PROGRAM], found.objects[MANY], found.bytes[MANY]]
        return Retention(tuple(self._tasks), *sums)
