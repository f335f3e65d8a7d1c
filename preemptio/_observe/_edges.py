"""Who waits for whom: read from the futures that tasks wait for, and from who is to be called when a task is done.

Problem. asyncio notes on a future whom it wakes, as callbacks, and on a task which future it waits for. What stands
between two tasks - gather, shield, wait, a task group - is a future of its own, and a closure or a bound method.

What we do. See `_aio/_awaited.py`: both directions, from what a task waits for, and from each task's callbacks to the
future that they will complete, if somebody waits for that one. A task that is suspended waits for whoever holds it. A
lock, event or queue is found as the `self` of asyncio's own coroutine in the chain of awaits.

Who holds a lock. asyncio.Lock has no owner. But whoever stands in an `async with` of it has its `__aexit__` on the
evaluation stack, and is not inside a method of the same object below that, as one is who waits for it. So a holder by
`async with` is known. One by `acquire()` is not, nor is who would set an event or fill a queue: then nobody is named.

Invariant. None of the user's code runs: classes are asked for by identity, attributes of asyncio's own classes alone.

Context: as of the snapshot.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from preemptio._aio._awaited import reached, tasks_behind

if TYPE_CHECKING:
    from types import FrameType

    from preemptio._scan._frames import Sight

PRIMITIVES: Final = (asyncio.Lock, asyncio.Event, asyncio.Condition, asyncio.Semaphore, asyncio.Barrier, asyncio.Queue)
HELD: Final = (asyncio.Lock, asyncio.Condition, asyncio.Semaphore)

_MADE_OF_OTHERS: Final = (asyncio.Queue, asyncio.Barrier)

_MODULES: Final = frozenset({"asyncio.locks", "asyncio.queues"})

_HOW: Final = {"_inner_done_callback": "shield", "_on_completion": "wait", "_release_waiter": "wait_for"}
"""By which function of asyncio's a task will wake who waits."""


class Edge(NamedTuple):
    """One waits for another."""

    waiter: str
    """Its node: `G 12`, `asyncio.Lock 1`."""
    awaited: str
    how: str
    """By what: `await`, `gather`, `shield`, `task group`, `wait`, `suspended by`; of a lock, `held by`."""


class Edges:
    """What is found, task by task."""

    def __init__(self, nodes: dict[int, str]) -> None:
        """Start with the names of all tasks, by identity."""
        self._nodes = nodes
        self._things: dict[int, tuple[str, Any]] = {}  # locks and the like; the objects stay alive meanwhile
        self._numbers: dict[str, int] = {}
        self._waiting: dict[int, list[str]] = {}  # who waits, by the future that it waits for
        self._futures: list[Any] = []  # as long as they are known by identity
        self._found: dict[tuple[str, str], str] = {}

    @property
    def found(self) -> tuple[Edge, ...]:
        """What was found: of two ways in which one waits for another, the first."""
        return tuple(Edge(*pair, how) for pair, how in self._found.items())

    def waits(self, node: str, future: Any, sight: Sight) -> None:
        """Note what a task waits for, and what it holds."""
        if future is not None:
            self._waiting.setdefault(id(future), []).append(node)
            self._futures.append(future)
            for task, how in tasks_behind(future):
                self._edge(node, task, how)
        at: Any = None
        entered: list[tuple[int, Any]] = []  # by `async with`, with the index of the frame
        inside: list[tuple[int, list[Any]]] = []  # frames of methods of locks and the like, with what they refer to
        for index, (frame, values) in enumerate(_values(sight)):
            if frame.f_globals.get("__name__") in _MODULES:
                things = [value for _, value in values if issubclass(type(value), PRIMITIVES)]
                inside.append((index, things))
                if things and not issubclass(type(at), _MADE_OF_OTHERS):
                    at = things[0]
            entered += [
                (index, value.__self__)
                for _, value in values
                if type(value) is MethodType and value.__name__ == "__aexit__"
            ]
        for index, thing in entered:
            waited_for = any(thing is each for deeper, things in inside if deeper > index for each in things)
            if issubclass(type(thing), HELD) and not waited_for:
                self._found[self._thing(_lock_of(thing)), node] = "held by"
        if at is not None and future is not None:
            self._found[node, self._thing(at)] = "waits for"

    def wakes(self, task: Any) -> None:
        """Note who waits for a task by something that stands in between."""
        for callback, *_ in getattr(task, "_callbacks", None) or ():
            name = getattr(getattr(callback, "func", callback), "__name__", "")
            for thing in reached(callback):
                for node in self._waiting.get(id(thing), ()):
                    self._edge(node, task, _HOW.get(name, "task group"))

    def holds(self, holder: Any, held: Any) -> None:
        """Note that one has suspended another."""
        if id(holder) in self._nodes and id(held) in self._nodes:
            self._found.setdefault((self._nodes[id(held)], self._nodes[id(holder)]), "suspended by")

    def things(self) -> dict[str, str]:
        """Return what is known of the locks and the like, by node."""
        return {node: _state(thing) for node, thing in self._things.values()}

    def _edge(self, node: str, task: Any, how: str) -> None:
        awaited = self._nodes.get(id(task))
        if awaited is not None:
            self._found.setdefault((node, awaited), how)

    def _thing(self, thing: Any) -> str:
        known = self._things.get(id(thing))
        if known is not None:
            return known[0]
        kind = type(thing).__qualname__ if type(thing) not in PRIMITIVES else f"asyncio.{type(thing).__name__}"
        n = self._numbers[kind] = self._numbers.get(kind, 0) + 1
        node = f"{kind} {n}"
        self._things[id(thing)] = node, thing
        return node


def _values(sight: Sight) -> Iterator[tuple[FrameType, list[tuple[str, object]]]]:
    """Yield the frames with what they refer to; of frames that may not be read, what the garbage collector sees."""
    suspended = {}
    if any(not each.values for each in sight.frames):
        for link in sight.links:
            frame = getattr(link, "cr_frame", None)
            if frame is not None:
                suspended[frame] = link
    for live in sight.frames:
        values = live.values
        if not values and live.frame in suspended:
            values = [("", each) for each in gc.get_referents(suspended[live.frame])]
        yield live.frame, values


def _lock_of(thing: Any) -> Any:
    """Return the lock itself: who waits for that of a Condition waits for a Lock."""
    return getattr(thing, "_lock", thing) if issubclass(type(thing), asyncio.Condition) else thing


def _state(thing: Any) -> str:
    """Say how a lock or the like stands."""
    try:
        return _described(thing)
    except Exception:  # a subclass that was never initialised
        return ""


def _described(thing: Any) -> str:
    cls = type(thing)
    if issubclass(cls, asyncio.Lock):
        return "locked" if thing._locked else "not locked"
    if issubclass(cls, asyncio.Event):
        return "set" if thing._value else "not set"
    if issubclass(cls, asyncio.Semaphore):
        return f"value {thing._value}"
    if issubclass(cls, asyncio.Queue):
        size = f"of {thing._maxsize}" if thing._maxsize > 0 else ""
        return f"{len(thing._queue)} {size} queued".replace("  ", " ")
    return ""
