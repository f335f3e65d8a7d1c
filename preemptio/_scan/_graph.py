"""The heap as a graph that is walked in slices: what refers to what, and what was met already.

Problem. Millions of objects are to be visited while the program runs, in half milliseconds, without a set of their
addresses (60 bytes an object), and without running any code of the user's.

What we do. Edges are what the garbage collector sees (`gc.get_referents`), asked for a batch of objects at a time. What
was met is noted in pages: an array per 256 KiB of address space, with one element per 16 bytes, since no two objects
begin closer than that. It is a sixteenth of the heap with one byte an element, whatever the number of objects.

What is asked of an object is its class alone, and by address: a metaclass may define `__hash__`. A class is looked at
once, and is then known: it cannot refer to anything (an int, a str), it is plain, or it has a *taker*, which says
what else to do with its objects. Lists, dicts and the like are taken in portions when they are long, since one call
for ten million referents is not a slice.

Of a module only its dictionary is looked at. What C code keeps for it besides may be no objects any more: `_asyncio` of
CPython 3.12 shows its free list there, and to ask for its referents crashes the interpreter soon after.

A weak reference counts as an edge where that is asked for (`weak`): who has one can have the object.

Invariants.
  W1  Only what waits to be visited is referred to (`_work`, `_pending`, `_big`); an end of the walk refers to nothing.
  W2  An address that was met may be freed and used again: then the new object counts as met. Whoever needs certainty
      has to get it elsewhere; see `_leaks.py`.

Context: the thread of the scanner's loop. Other threads may change whatever is walked.
"""

from __future__ import annotations

import time
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from gc import get_referents
from itertools import islice
from typing import Any, Final

from preemptio._preempt import _iframe
from preemptio._scan._classes import attributes, flags_of, ids, is_a, names_of

PAGE_BITS: Final = 18
SLOT_BITS: Final = 4
SLOTS: Final = 1 << PAGE_BITS - SLOT_BITS
MASK: Final = SLOTS - 1

BATCH: Final = 32
"""Objects whose referents are asked for in one call."""

CHUNK: Final = 500
"""Edges between two looks at the clock; a container with more is taken in portions. 0.2 ms, if each is but marked."""

HAVE_GC: Final = 1 << 14
"""Py_TPFLAGS_HAVE_GC, of a class: its objects may refer to others."""

Taker = Callable[[Any], None]
"""Takes in an object that was met for the first time."""

clock = time.perf_counter


def slots_of(pages: dict[int, bytearray], thing: object) -> tuple[bytearray, int]:
    """Return the page of an object, made if need be, and its place there."""
    address = id(thing)
    page = pages.get(address >> PAGE_BITS)
    if page is None:
        page = pages[address >> PAGE_BITS] = bytearray(SLOTS)
    return page, address >> SLOT_BITS & MASK


class Walk:
    """A walk over the heap, from roots that are given with `add`. What it does with an object is a subclass's."""

    chunk = CHUNK  # a subclass that does more with an edge has fewer in a piece

    def __init__(self, *, atoms: bool = False, weak: bool = False) -> None:
        """Start nowhere.

        Args:
            atoms: whether objects that cannot refer to anything are of interest.
            weak: whether a weak reference is an edge.
        """
        self.atoms = atoms
        self.edges = 0  # looked at so far
        self._kinds: dict[int, Taker | bool] = {}  # by id of the class: True is plain, False an atom
        self._classes: list[type] = []  # those classes: an id stays theirs for as long as they live
        self._takers: list[tuple[type, Taker]] = [(base, self._sized(base)) for base in CONTAINERS]
        self._takers.append((types.ModuleType, self._module))
        if weak:
            self._takers += [(weakref.ref, self._weak), *((proxy, self._proxy) for proxy in _PROXIES)]
        self._work: list[Any] = []
        self._pending: list[Any] = []  # referents that were asked for and not looked at yet
        self._big: list[Iterator[list[Any]]] = []

    def special(self, cls: type, taker: Taker) -> None:
        """Have the objects of a class and its subclasses taken in by `taker`; `plain` does the usual."""
        self._takers.insert(0, (cls, taker))

    def add(self, things: Iterable[Any]) -> None:
        """Begin at these, too."""
        self._pending.extend(things)

    def plain(self, thing: Any) -> None:
        """Visit what an object refers to."""
        self._work.append(thing)

    @property
    def idle(self) -> bool:
        """Whether there is nothing left to visit."""
        return not (self._pending or self._work or self._big)

    def run(self, until: float) -> bool:
        """Walk until it is done, or it is `until` by perf_counter; report whether it is done."""
        while True:
            if self._pending:
                things = self._pending[-self.chunk :]
                del self._pending[-self.chunk :]
            elif self._work:
                batch = self._work[-BATCH:]
                del self._work[-BATCH:]
                things = get_referents(*batch)
                batch.clear()
                if len(things) > self.chunk:
                    self._pending = things
                    continue
            elif self._big:
                things = next(self._big[-1], [])
                if not things:
                    self._big.pop()
            else:
                return True
            self.edges += len(things)
            self.take(things)
            things.clear()  # a tracer may keep this frame; it must not keep the heap
            if clock() >= until:
                return self.idle

    def forget(self) -> None:
        """Refer to nothing any more."""
        for each in (self._work, self._pending, self._big, self._classes, self._takers):
            each.clear()

    def take(self, things: list[Any]) -> None:
        """Look at edges: take in what they lead to, where it was not met before. The subclass's."""
        raise NotImplementedError

    def atom(self, cls: type) -> bool:
        """Report whether objects of a class cannot refer to anything."""
        kind = self._kinds.get(id(cls))
        return (self.kind(cls) if kind is None else kind) is False

    def kind(self, cls: type) -> Taker | bool:
        """Look at a class for the first time."""
        found: Taker | bool = bool(flags_of(cls) & HAVE_GC)
        if found:
            found = next((taker for base, taker in self._takers if issubclass(cls, base)), True)
        self._kinds[id(cls)] = found
        self._classes.append(cls)
        return found

    # -- takers --

    def _sized(self, base: type) -> Taker:
        """Return the taker of a kind of container."""
        length: Callable[[Any], int] = base.__len__  # type: ignore[attr-defined]
        plain, big, chunk = self._plain_later, self._big_later, self.chunk

        def take(thing: Any) -> None:
            if length(thing) > chunk:
                big(portions(base, thing, chunk), thing)
            else:
                plain(thing)

        return take

    def _plain_later(self, thing: Any) -> None:
        self._work.append(thing)

    def _big_later(self, these: Iterator[list[Any]], thing: Any) -> None:
        self._big.append(these)
        if id(type(thing)) not in _EXACT:  # a subclass's objects have attributes as well
            self._pending.append(attributes(thing))

    def _module(self, thing: types.ModuleType) -> None:
        self._pending.append(globals_of(thing))

    def _weak(self, thing: Any) -> None:
        self.plain(thing)
        referent = weakref.ref.__call__(thing)
        if referent is not None:
            self._pending.append(referent)

    def _proxy(self, thing: Any) -> None:
        self.plain(thing)
        self._pending.append(_iframe.behind_proxy(thing))


CONTAINERS: Final[tuple[type, ...]] = (list, dict, tuple, set, frozenset, deque)
_EXACT: Final = ids(*CONTAINERS)
_PROXIES: Final = (weakref.ProxyType, weakref.CallableProxyType)


globals_of: Final[Callable[[types.ModuleType], dict[str, Any]]] = names_of(types.ModuleType)["__dict__"].__get__
"""The dictionary of a module."""


def referents(thing: Any) -> list[Any]:
    """Return what an object refers to; of a module only what Python can see."""
    return [globals_of(thing)] if is_a(thing, types.ModuleType) else get_referents(thing)


def portions(base: Any, thing: Any, chunk: int = CHUNK) -> Iterator[list[Any]]:
    """Yield what a long container holds, some at a time. If it changes meanwhile, the rest comes in one piece."""
    try:
        if base is list or base is tuple:
            at = 0
            while at < base.__len__(thing):
                yield list(base.__getitem__(thing, slice(at, at + chunk)))
                at += chunk
        elif base is dict:
            items = iter(dict.items(thing))
            while some := list(islice(items, chunk // 2)):
                yield [each for item in some for each in item]
        else:
            members = base.__iter__(thing)
            while some := list(islice(members, chunk)):
                yield some
    except RuntimeError:
        yield get_referents(thing)


def cells_of(function: types.FunctionType) -> list[Any]:
    """Return what a function has closed over, and its defaults."""
    found: list[Any] = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            continue
    return [*found, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
