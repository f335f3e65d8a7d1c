"""Who is about to be cancelled: the other way in which a blocked task can be woken.

Problem. A task that waits for something unreachable ends all the same if somebody cancels it. Everybody could: all
tasks can be listed. If that counted nothing would ever be leaked; if no cancellation counted, a task below a timeout
would be.

What we do. A cancellation counts if it is *arranged*, so that nobody has to decide on it any more:

  - a callback has the task at hand: a timer, a ready handle, an I/O or signal handler, or what is to be called when a
    future is done. That is, its function, its arguments, what it is bound to or closes over is the task, or an object
    that has it in an attribute. asyncio.timeout, a TaskGroup, an anyio scope, `call_later(5, task.cancel)` do that;
  - a thread has started it, by run_coroutine_threadsafe, and has a future for it;
  - a task that is about to be cancelled awaits it, directly or by `gather`, since that passes its cancellation on;
  - a possibly runnable task awaits it in `asyncio.wait_for`, which has a timer in 3.11 that cancels nobody else.

Who merely has a reference to a task - a variable, a set that keeps it alive - has arranged nothing. Neither has the
end of the program, which cancels all that is left.

What a future will call is looked at where the marks meet it, so one that moves during the scan may be missed.

Context: the scanner's G.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import types
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from gc import get_referents
from typing import Any, Final
from weakref import WeakSet

from preemptio._aio._awaited import GATHERING
from preemptio._scan._classes import attribute, attributes, ids, is_a, names_of, qualname_of
from preemptio._scan._graph import CONTAINERS, cells_of

MANY: Final = 1_000
"""Members up to which a container in an attribute is looked through for tasks."""

_WAKEUPS: Final = ("task_wakeup", "TaskStepMethWrapper", "TaskWakeupMethWrapper")

_BOUND: Final = (types.MethodType, types.BuiltinMethodType, types.MethodWrapperType)

_SMALL: Final = ids(set, list, tuple, dict)


_PENDING: Final = ("PENDING", "RUNNING")
"""Of a thread's future: `done()` is a method that may be overridden."""

_callbacks_of: Final = names_of(asyncio.Future)["_callbacks"].__get__


def chain(task: Any) -> Iterator[Any]:
    """Yield the coroutines and generators that a task stands in, outermost first."""
    awaiting = task.get_coro()
    while awaiting is not None:
        yield awaiting
        following = (attribute(awaiting, name) for name in ("cr_await", "gi_yieldfrom", "ag_await"))
        awaiting = next((each for each in following if each is not None), None)


def is_main(task: Any) -> bool:
    """Report whether somebody runs the loop until this task ends: it ends when the program does."""
    names = (attribute(each[0], "__qualname__") for each in task._callbacks or ())
    return any(type(name) is str and "run_until_complete" in name for name in names)


def of_a_thread(task: Any) -> bool:
    """Report whether a thread has a future for it, by run_coroutine_threadsafe: to cancel that cancels the task."""
    return any(
        is_a(each, concurrent.futures.Future) and attributes(each).get("_state") in _PENDING
        for callback in task._callbacks or ()
        if type(callback[0]) is types.FunctionType and callback[0].__module__ == "asyncio.futures"
        for each in cells_of(callback[0])
    )


def handles(loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """Yield what a loop is going to call: timers, what is ready, what I/O and signals call."""
    held = [*get_referents(loop), *getattr(loop, "__dict__", {}).values()]
    selector = getattr(loop, "_selector", None)
    if selector is not None and selector.get_map() is not None:
        held += [key.data for key in list(selector.get_map().values())]
    for each in held:
        if type(each) is dict:
            yield from (item for item in list(each.values()) if _is_handle(item))
        elif type(each) is not str and is_a(each, CONTAINERS):
            yield from (item for item in get_referents(each) if _is_handle(item))


def _is_handle(thing: object) -> bool:
    if not qualname_of(type(thing)).endswith("Handle"):
        return False
    return not (attribute(thing, "_cancelled") or attributes(thing).get("_cancelled"))


def weak_sets(loop: asyncio.AbstractEventLoop) -> list[Any]:
    """Return the loop's own weak sets, of async generators: it is not by them that anybody gets at one."""
    return [each for each in (*get_referents(loop), *vars(loop).values()) if is_a(each, WeakSet)]


class Cancels:
    """The tasks that are about to be cancelled, as far as they were found."""

    def __init__(self, loop: asyncio.AbstractEventLoop, found: Callable[[Any], None]) -> None:
        """Start with none; `found` is called with each task, once."""
        self._loop = loop
        self._found = found
        self._known: set[int] = set()

    def cancels(self, task: Any) -> None:
        """Note that a task is about to be cancelled, and with it what it awaits."""
        todo = [task]
        while todo:
            task = todo.pop()
            if id(task) in self._known or task.done() or is_main(task):
                continue
            self._known.add(id(task))
            self._found(task)
            awaited = task._fut_waiter
            if is_a(awaited, asyncio.Task):
                todo.append(awaited)
            if type(awaited) is GATHERING:
                todo += awaited._children
            todo += awaited_in_asyncio(task)

    def handle(self, thing: Any) -> None:
        """Look at what a loop is going to call."""
        for each in get_referents(thing):
            self.callback(each)

    def future(self, future: Any) -> None:
        """Look at what is to be called when a future is done."""
        try:
            callbacks = _callbacks_of(future) or ()
        except RuntimeError:  # a subclass has not initialised it
            return
        for callback in callbacks:
            self.callback(callback[0])

    def concurrent(self, future: Any) -> None:
        """Look at what is to be called when a future of a thread is done."""
        for callback in list(attributes(future).get("_done_callbacks") or ()):
            self.callback(callback)

    def callback(self, thing: Any) -> None:
        """Look for tasks that a callback has at hand."""
        todo = [thing]
        for _ in range(MANY):
            if not todo:
                return
            thing = todo.pop()
            cls = type(thing)
            if issubclass(cls, asyncio.Task):
                self.cancels(thing)
            elif cls is types.FunctionType:
                if thing.__module__ != "asyncio.tasks":  # gather, wait and shield have each other's, and cancel none
                    todo += cells_of(thing)
            elif cls is partial:
                todo += (thing.func, *thing.args, *thing.keywords.values())
            elif cls is tuple:
                todo += thing
            elif cls is types.MethodType:
                todo.append(thing.__func__)
                self._object(thing.__self__)
            elif issubclass(cls, _BOUND):
                if thing.__name__ not in _WAKEUPS:
                    self._object(thing.__self__)
            elif qualname_of(cls) not in _WAKEUPS:
                self._object(thing)

    def _object(self, thing: Any) -> None:
        """Look for tasks in the attributes of an object that a callback has at hand."""
        if issubclass(type(thing), asyncio.Task):
            self.cancels(thing)
        if thing is self._loop or is_a(thing, (asyncio.Future, types.ModuleType, type)):
            return
        attributes = get_referents(thing)
        for each in list(attributes):
            if type(each) is dict and len(each) <= MANY:
                attributes += each.values()
        for each in attributes:
            if issubclass(type(each), asyncio.Task):
                self.cancels(each)
            elif id(type(each)) in _SMALL and len(each) <= MANY:
                for task in _tasks_in(get_referents(each)):
                    self.cancels(task)


def _tasks_in(things: Iterable[Any]) -> Iterator[Any]:
    return (each for each in things if issubclass(type(each), asyncio.Task))


def awaited_in_asyncio(task: Any) -> list[Any]:
    """Return the tasks that a task waits for in `asyncio.wait_for`, which cancels them."""
    found: list[Any] = []
    for each in chain(task):
        if attribute(each, "cr_code") is _WAIT_FOR:
            found += _tasks_in(get_referents(each))
    return found


_WAIT_FOR: Final = asyncio.wait_for.__code__
