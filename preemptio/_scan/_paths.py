"""Who keeps an object alive: a chain of references from something that may be named to the object.

Problem. A walk from the roots finds the object, but then does not know any more how it came there. To remember who led
to each of millions of objects takes a reference to each, or a set of addresses.

What we do. Four bytes per place: the number of the place from which it was met first. The walk goes by levels, so what
it finds is a shortest chain. Numbers are no references, and what stood there may be gone; so the chain is followed
forwards again, from the root, which is held, over what each refers to *now*. If it is broken the program has changed
it, and one looks again.

The record is text: it refers to nothing, or it would keep alive what it speaks of.

Context: the scanner's G.
"""

from __future__ import annotations

import types
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from preemptio._preempt import _iframe
from preemptio._scan._classes import attributes, flags_of, ids, module_of, mro_of, names_of, qualname_of
from preemptio._scan._graph import (
    CHUNK,
    CONTAINERS,
    HAVE_GC,
    MASK,
    PAGE_BITS,
    SLOT_BITS,
    SLOTS,
    clock,
    portions,
    referents,
)

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._scan._root import Root

ROOT: Final = 0xFFFF_FFFF
HIDDEN: Final = 0xFFFF_FFFE
_ZEROS: Final = bytes(4 * SLOTS)


@dataclass(slots=True, frozen=True)
class Link:
    """One reference in a chain."""

    how: str
    """How it is written behind what refers: `['key']`, `[3]`, `.name`, or the name of a root."""
    what: str
    """The class of what it refers to."""


@dataclass(slots=True, frozen=True)
class Path:
    """What keeps an object alive."""

    g: G | None
    """The G whose root is at the beginning; None if it is a global, a timer, or what else all Gs share."""
    links: tuple[Link, ...]
    """From the root to the object."""

    def __str__(self) -> str:
        """Write it in one line."""
        start = "" if self.g is None else f'G {self.g.id} "{self.g.name}": '
        first, *rest = self.links
        return f"{start}{first.how}{''.join(f' -> {link.how}' for link in rest)} ({self.links[-1].what})"


class Trail:
    """A walk by levels that remembers where each object was met from."""

    def __init__(self, target: int) -> None:
        """Look for the object at this address."""
        self.found = False
        self._target = target
        self._pages: dict[int, tuple[int, array[int]]] = {}
        self._addresses: list[int] = []  # of the pages, by number
        self._roots: dict[int, tuple[G | None, Root]] = {}
        self._level: list[Any] = []
        self._following: list[Any] = []
        self._portions: Iterator[list[Any]] | None = None
        self._source = 0

    def _page(self, address: int) -> tuple[int, array[int]]:
        page = self._pages.get(address >> PAGE_BITS)
        if page is None:
            page = self._pages[address >> PAGE_BITS] = len(self._addresses), array("I", _ZEROS)
            self._addresses.append(address >> PAGE_BITS)
        return page

    def hide(self, things: Iterable[Any]) -> None:
        """Do not look through these."""
        for thing in things:
            self._page(id(thing))[1][id(thing) >> SLOT_BITS & MASK] = HIDDEN

    def start(self, g: G | None, roots: Iterable[Root], but: int = 0) -> None:
        """Begin at these, too, but not at the object `but`."""
        for root in roots:
            thing = root.obj
            if id(thing) != but and id(thing) not in self._roots:
                self._roots[id(thing)] = g, root
                self._source = ROOT
                self._meet([thing])

    def run(self, until: float) -> bool:
        """Go on until the object is found or there is nothing left, or it is `until`; report whether it is over."""
        while not self.found:
            if self._portions is not None:
                things = next(self._portions, None)
                if things is None:
                    self._portions = None
                    continue
                self._meet(things)
            elif self._level:
                self._visit(self._level.pop())
            elif self._following:
                self._level, self._following = self._following, []
            else:
                return True
            if clock() >= until:
                break
        return self.found

    def _visit(self, thing: Any) -> None:
        number, _ = self._page(id(thing))
        self._source = (number << PAGE_BITS - SLOT_BITS | id(thing) >> SLOT_BITS & MASK) + 1
        base = next((base for base in CONTAINERS if issubclass(type(thing), base)), None)
        if base is not None and base.__len__(thing) > CHUNK:  # type: ignore[attr-defined]
            self._portions = portions(base, thing)
        else:
            self._meet(referents(thing))

    def _meet(self, things: list[Any]) -> None:
        pages, source, target, visit = self._pages, self._source, self._target, self._following.append
        for thing in things:
            address = id(thing)
            if not flags_of(type(thing)) & HAVE_GC and address != target:
                continue
            page = (pages.get(address >> PAGE_BITS) or self._page(address))[1]
            slot = address >> SLOT_BITS & MASK
            if not page[slot]:
                page[slot] = source
                visit(thing)
                if address == target:
                    self.found = True

    def path(self) -> Path | None:
        """Return the chain to the object; None if the program has broken it meanwhile."""
        places, place = [], self._target >> SLOT_BITS
        while True:
            _, page = self._page(place << SLOT_BITS)
            source = page[place & MASK]
            places.append(place)
            if source == ROOT:
                break
            if not source or source == HIDDEN or len(places) > CHUNK:
                return None
            number, slot = divmod(source - 1, SLOTS)
            place = self._addresses[number] << PAGE_BITS - SLOT_BITS | slot
        for address, (g, root) in self._roots.items():
            if address >> SLOT_BITS == places[-1]:
                return self._forwards(g, root, places[-2::-1])
        return None

    def _forwards(self, g: G | None, root: Root, places: list[int]) -> Path | None:
        here = root.obj
        links = [Link(root.name, _class_of(here))]
        for place in places:
            there = next((each for each in referents(here) if id(each) >> SLOT_BITS == place), None)
            if there is None:
                return None
            how = reference(here, there)
            if how:  # an instance and its dictionary are one link
                links.append(Link(how, _class_of(there)))
            here = there
        return Path(g, tuple(links))

    def forget(self) -> None:
        """Refer to nothing any more."""
        self._roots, self._level, self._following, self._portions = {}, [], [], None


def _class_of(thing: Any) -> str:
    cls = type(thing)
    module, name = module_of(cls), qualname_of(cls)
    return f"{module}.{name}" if type(module) is str and module != "builtins" else name


def reference(here: Any, there: Any) -> str:
    """Return how `here` refers to `there`, as one would write it; nothing if it is its dictionary of attributes."""
    cls = type(here)
    try:
        if issubclass(cls, dict):
            for key, value in dict.items(here):
                if value is there:
                    return f"[{_short(key)}]"
            return "[a key]"
        for base in (list, tuple):
            if issubclass(cls, base):
                return f"[{next(index for index, each in enumerate(base.__iter__(here)) if each is there)}]"
        if cls is types.CellType:
            return ".cell_contents"
        if cls is types.FunctionType:
            return _of_function(here, there)
        if issubclass(cls, types.ModuleType):
            return ""  # its dictionary
        frame = here.cr_frame if cls is types.CoroutineType else here.gi_frame if cls is types.GeneratorType else None
        if frame is not None:
            return _of_frame(frame, there)
        own = attributes(here)
        if own is there:
            return ""
        for name, value in own.items():
            if value is there:
                return f".{name}"
    except Exception:  # a class of its own kind; it refers all the same
        return f"({qualname_of(cls)} refers to)"
    return _of_slots(cls, here, there) or f"({qualname_of(cls)} refers to)"


def _of_slots(cls: type, here: Any, there: Any) -> str:
    for base in mro_of(cls):
        for name, member in names_of(base).items():
            if type(member) is types.MemberDescriptorType:
                try:
                    if member.__get__(here) is there:
                        return f".{name}"
                except AttributeError:
                    continue
    return ""


def _of_function(here: types.FunctionType, there: Any) -> str:
    if there is here.__closure__:
        return ".__closure__"
    return ".__globals__" if there is here.__globals__ else "(function refers to)"


def _of_frame(frame: types.FrameType, there: Any) -> str:
    code = frame.f_code
    if _iframe.AVAILABLE:
        for index, name in enumerate((*code.co_varnames, *code.co_cellvars, *code.co_freevars)):
            if index < len(code.co_varnames) and _iframe.local(frame, index) is there:
                return f"{name} in {code.co_qualname}"
    return f"in {code.co_qualname}"


_SHOWN: Final = ids(str, int, bytes, float, bool, type(None))


def _short(key: object) -> str:
    text = repr(key) if id(type(key)) in _SHOWN else f"<{qualname_of(type(key))}>"
    return text if len(text) <= 40 else f"{text[:37]}..."
