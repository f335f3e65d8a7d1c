"""Who waits for whom: read from the futures that tasks wait for, and from who is to be called when a task is done.

Problem. asyncio notes on a future whom it wakes, as callbacks, and on a task which future it waits for. What stands
between two tasks - gather, shield, wait, a task group - is a future of its own, and a closure or a bound method.

What we do. Both directions. From what a task waits for: another task, the children of `gather`, what is shielded. And
from each task's callbacks to the future that they will complete, if somebody waits for that one. A lock, event or queue
is found as the `self` of asyncio's own coroutine in the chain of awaits.

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
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from preemptio._scan._graph import cells_of

if TYPE_CHECKING:
    from types import FrameType

    from preemptio._scan._frames import Sight

PRIMITIVES: Final = (asyncio.Lock, asyncio.Event, asyncio.Condition, asyncio.Semaphore, asyncio.Barrier, asyncio.Queue)
HELD: Final = (asyncio.Lock, asyncio.Condition, asyncio.Semaphore)

_MADE_OF_OTHERS: Final = (asyncio.Queue, asyncio.Barrier)

_MODULES: Final = frozenset({"asyncio.locks", "asyncio.queues"})
_GROUPS: Final = frozenset({"asyncio.taskgroups", "anyio._backends._asyncio"})
"""Modules of the task groups, which keep the future that their parent waits for in `_on_completed_fut`."""

_HOW: Final = {"_inner_done_callback": "shield", "_on_completion": "wait", "_release_waiter": "wait_for"}
"""By which function of asyncio's a task will wake who waits."""


class Edge(NamedTuple):
    """One waits for another."""

    waiter: str
    """Its node: `G 12`, `asyncio.Lock 1`."""
    awaited: str
    how: str
    """By what: `await`, `gather`, `shield`, `task group`, `wait`; of a lock that is waited for, `held by`."""


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
            for task, how in _tasks_behind(future):
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
            for thing in _reached(callback):
                for node in self._waiting.get(id(thing), ()):
                    self._edge(node, task, _HOW.get(name, "task group"))

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


def _tasks_behind(future: Any) -> Iterator[tuple[Any, str]]:
    """Yield the tasks that a future stands for: itself, the children of gather, what is shielded."""
    todo, seen = [(future, "await")], set[int]()
    while todo:
        each, how = todo.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if issubclass(type(each), asyncio.Task):
            if not asyncio.Future.done(each):
                yield each, how
            continue
        todo += [(child, "gather") for child in getattr(each, "_children", None) or () if _pending(child)]
        for callback, *_ in getattr(each, "_callbacks", None) or ():
            if getattr(callback, "__name__", "") == "_outer_done_callback":
                todo += [(inner, "shield") for inner in cells_of(callback) if _pending(inner)]


def _pending(thing: Any) -> bool:
    return issubclass(type(thing), asyncio.Future) and not asyncio.Future.done(thing)


def _reached(callback: Any) -> Iterator[Any]:
    """Yield the futures that a callback of asyncio's completes."""
    if type(callback) is partial:
        yield from callback.args
        callback = callback.func
    things: list[Any] = []
    if type(callback) is FunctionType and callback.__module__.startswith(("asyncio.", "anyio.")):
        things = list(cells_of(callback))
    elif type(callback) is MethodType:
        things = [callback.__self__]
    for thing in things:
        yield thing
        if type(thing).__module__ in _GROUPS:
            yield getattr(thing, "_on_completed_fut", None)


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
