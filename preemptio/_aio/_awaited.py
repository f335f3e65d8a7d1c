"""Whom a task waits for: the tasks behind the future that it awaits, and behind those what they await in turn.

Problem. A task that awaits another has it as its future. By `gather`, `shield`, a task group or `asyncio.wait` there is
a future in between, and which tasks complete that is to be read from asyncio's own closures and bound methods.

What we do. Both directions. From a future to the tasks that it stands for: itself, the children of `gather`, what is
shielded. And from each task's callbacks to the futures that they will complete.

Invariant. None of the user's code runs: classes are asked for by identity, attributes of asyncio's own classes alone.

Context: the loop's thread, or another that accepts a stale answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Final

from preemptio._scan._classes import attribute, attributes, module_of
from preemptio._scan._graph import cells_of

GATHERING: Final = asyncio.tasks._GatheringFuture  # type: ignore[attr-defined]
"""The type of what `gather` returns."""

_GROUPS: Final = frozenset({"asyncio.taskgroups", "anyio._backends._asyncio"})
"""Modules of the task groups, which keep the future that their parent waits for in `_on_completed_fut`."""


def tasks_behind(future: Any) -> Iterator[tuple[Any, str]]:
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
        if type(each) is GATHERING:
            todo += [(child, "gather") for child in each._children if _pending(child)]
        for callback, *_ in attribute(each, "_callbacks") or ():
            if type(callback) is FunctionType and callback.__name__ == "_outer_done_callback":
                todo += [(inner, "shield") for inner in cells_of(callback) if _pending(inner)]


def _pending(thing: Any) -> bool:
    return issubclass(type(thing), asyncio.Future) and not asyncio.Future.done(thing)


def reached(callback: Any) -> Iterator[Any]:
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
        if module_of(type(thing)) in _GROUPS:
            yield attributes(thing).get("_on_completed_fut")


def awaited_by(task: Any) -> set[Any]:
    """Return the tasks that a task cannot go on before the end of, as far as can be seen: whom it awaits, and so on."""
    completed: dict[int, list[Any]] = {}  # by a future, the tasks whose end may complete it
    for each in asyncio.all_tasks(task.get_loop()):
        for callback, *_ in attribute(each, "_callbacks") or ():
            for thing in reached(callback):
                completed.setdefault(id(thing), []).append(each)
    found: set[Any] = set()
    todo = [task]
    while todo:
        future = future_of(todo.pop())
        if future is None:
            continue
        behind = [*(each for each, _ in tasks_behind(future)), *completed.get(id(future), ())]
        todo += [each for each in behind if each not in found]
        found.update(behind)
    return found


def future_of(task: Any) -> Any:
    """Return the future that a task awaits, or stands for in `preemptio.wait`; None if it awaits nothing."""
    g = getattr(task, "g", None)
    return getattr(task, "_fut_waiter", None) if g is None or not g.parked else g._extra.waiting_on
