"""Objects whose every method says so when it is called: no scan runs any code of the program's."""

import asyncio
import contextvars
import sys
import types
import weakref
from functools import partial

import pytest

import preemptio
from preemptio import scan
from preemptio._scan._graph import CHUNK
from tests.behaviour._support import parked

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]

called = []
watching = []
"""What the traps do while it is empty is what the program does."""


def trap(name, answer):
    """Return a method that notes that it was called, and by whom."""

    def method(self, *_args, **_kwargs):
        if watching:
            frame = sys._getframe(1)
            called.append(f"{name} by {frame.f_code.co_qualname} of {frame.f_globals.get('__name__')}")
        return answer(self) if callable(answer) else answer

    method.__name__ = name
    return method


def members(base):
    """Return traps for all that a scan might call of an instance."""
    found = {
        "__hash__": trap("__hash__", 1),
        "__eq__": trap("__eq__", True),
        "__ne__": trap("__ne__", False),
        "__lt__": trap("__lt__", True),
        "__bool__": trap("__bool__", False),
        "__len__": trap("__len__", 0),
        "__iter__": trap("__iter__", lambda _self: iter(())),
        "__contains__": trap("__contains__", False),
        "__getitem__": trap("__getitem__", None),
        "__call__": trap("__call__", None),
        "__repr__": trap("__repr__", "a trap"),
        "__str__": trap("__str__", "a trap"),
        "__sizeof__": trap("__sizeof__", 1),
        "__await__": trap("__await__", lambda _self: iter(())),
        "__index__": trap("__index__", 0),
        "__fspath__": trap("__fspath__", ""),
        "__instancecheck__": trap("__instancecheck__", False),
        "__subclasscheck__": trap("__subclasscheck__", False),
        "__class__": property(trap("__class__", type)),
        "__getattr__": trap("__getattr__", None),
        "__get__": trap("__get__", None),
        "__reduce_ex__": trap("__reduce_ex__", None),
        "__dir__": trap("__dir__", lambda _self: []),
        "__format__": trap("__format__", "a trap"),
    }
    if base is not types.ModuleType:
        found["__getattribute__"] = trap("__getattribute__", None)
    return found


def traps_attributes(cls, name):
    """Be the `__getattribute__` of a class."""
    if watching:
        frame = sys._getframe(1)
        called.append(f"{name} of a class by {frame.f_code.co_qualname} of {frame.f_globals.get('__name__')}")
    return type.__getattribute__(cls, name)


META = type(
    "Meta",
    (type,),
    {
        name: trap(f"{name} of the class", answer)
        for name, answer in {
            "__hash__": lambda cls: id(cls) >> 4,
            "__eq__": False,
            "__ne__": True,
            "__bool__": False,
            "__iter__": lambda _cls: iter(()),
            "__contains__": False,
            "__len__": 0,
            "__repr__": "a class",
            "__str__": "a class",
            "__instancecheck__": True,
            "__subclasscheck__": True,
            "__getattr__": None,
            "__sizeof__": 1,
            "mro": type.mro,
        }.items()
    }
    | {"__getattribute__": traps_attributes}
    | {
        name: property(trap(f"{name} of the class", answer))
        for name, answer in {
            "__mro__": (),
            "__class__": type,
            "__bases__": (),
            "__flags__": 0,
            "__name__": "name",
            "__module__": "module",
            "__dictoffset__": 0,
        }.items()
    },
)


def hostile(base=object, **more):
    """Return an object of a class with a trap for everything."""
    cls = META("Hostile", (base,), members(base) | more)
    return base.__new__(cls)


def big_list():
    thing = hostile(list)
    list.extend(thing, [None] * (CHUNK + 1))
    return thing


def big_dict():
    thing = hostile(dict)
    for n in range(CHUNK + 1):
        dict.__setitem__(thing, n, None)
    return thing


def shows_no_dict():
    thing = hostile(list, __dict__=property(trap("__dict__", {})))
    list.extend(thing, [None] * (CHUNK + 1))
    return thing


def coroutine_like():
    names = ("cr_await", "cr_frame", "cr_running", "gi_yieldfrom", "gi_frame", "ag_await")
    return hostile(**{name: property(trap(name, None)) for name in names})


MAKERS = {
    "plain": hostile,
    "list": lambda: hostile(list),
    "long list": big_list,
    "long dict": big_dict,
    "hides its attributes": shows_no_dict,
    "dict": lambda: hostile(dict),
    "tuple": lambda: hostile(tuple),
    "set": lambda: hostile(set),
    "bytes": lambda: hostile(bytes),
    "bytearray": lambda: hostile(bytearray),
    "module": lambda: types.ModuleType.__new__(META("Hostile", (types.ModuleType,), members(types.ModuleType))),
    "exception": lambda: hostile(BaseException),
    "coroutine": coroutine_like,
    "future": lambda: hostile(asyncio.Future),
    "the class": lambda: META("Hostile", (), members(object)),
}


class Box:
    """Holds one, so that a path ends at something harmless."""

    def __init__(self, thing):
        self.thing = thing
        self.proxy = None
        if (
            type(thing).__weakrefoffset__
            if type(type(thing)) is type
            else type.__dict__["__weakrefoffset__"].__get__(type(thing))
        ):
            self.proxy = weakref.proxy(thing)
            self.ref = weakref.ref(thing)


async def waits(thing, box, event):
    boxes = [thing, [thing], {1: thing}, (thing,), box]
    try:
        await event.wait()
    finally:
        boxes.clear()


var = contextvars.ContextVar("var")


async def test_no_code_of_theirs_is_run():
    """In a variable, a container, a cell, a context, a callback, a result, behind weak references."""
    loop, event, goal = asyncio.get_running_loop(), asyncio.Event(), [object()]
    things = {name: make() for name, make in MAKERS.items()}
    tasks, timers, done = [], [], []
    for thing in things.values():
        box, context = Box(thing), contextvars.copy_context()
        context.run(var.set, thing)
        tasks.append(asyncio.create_task(waits(thing, box, event), context=context))
        tasks.append(asyncio.create_task(waits(box, {"goal": goal}, asyncio.Event())))
        tasks[-1].add_done_callback(thing)
        tasks.append(preemptio.go(partial(waits_in_a_function, thing, goal, event)))
        timers += [loop.call_later(60, print, thing), loop.call_later(60, thing)]
        done.append(loop.create_future())
        done[-1].set_result(thing)
    await parked(*tasks[2::3])
    watching.append(True)
    found = await scan.leaks()
    report = await scan.retained()
    paths = [await scan.path_to(goal[0]), await scan.path_to(things["plain"])]
    texts = [str(each) for each in (*found, report, *paths)]
    watching.clear()
    assert sorted(set(called)) == []
    assert {leak.g for leak in found} == {task.g for task in tasks[1::3]}
    assert report.of(tasks[0]).objects > 0
    assert all(paths)
    assert all(texts)
    for task, thing in zip(tasks[1::3], things.values(), strict=True):
        task.remove_done_callback(thing)
    for each in (*timers, *tasks):
        each.cancel()
    await asyncio.wait(tasks)


def waits_in_a_function(thing, goal, event):
    preemptio.wait(waits(thing, [goal, thing], event))
