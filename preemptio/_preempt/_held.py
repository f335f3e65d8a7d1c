"""The lock rule: a step that holds a thread lock is not stopped.

Problem. `with threading.Lock():` around a loop. Preempted in it, the holder waits for its turn; the next task that asks
for the lock blocks the thread, and with it the holder: nothing ever runs again. With an RLock it is worse, since it
belongs to the thread and lets the next task in: mutual exclusion is lost without a word.

What does not work. To count acquisitions: C code takes locks without asking anybody, and a wrapper around
`threading.Lock` comes too late for those that exist. To read the source: see `_blocks`. To ask the lock whether it is
taken: a lock does not know by whom. To refuse inside any `with`: open files, timers and spans are most of them.

What we do. Each frame of the step is asked what `with` statements it is in, from the interrupted one over the owner to
the coroutines that await it, since those may hold a lock around the `await`. The `__exit__` that a `with` keeps on the
evaluation stack is bound to the context manager itself, however that was spelled; its type must be a known lock's.
Through an ExitStack and a generator made a context manager the rule looks to what is inside. A `finally` that releases
a lock counts like a `with`. So does a lock's own method, where it is written in Python: half-way in or out is held.
What is free after all (Condition.wait, a release by hand) does not count.

Invariants. No user code runs: types are compared by identity along the MRO, attributes are read from dictionaries and
slots. Where frames cannot be read (`_iframe.AVAILABLE`), whatever might be a lock is taken for one.

Not seen: a lock acquired by hand without a `finally`, a manager of the user's own around a lock (`register_lock_type`
is for those), a lock that a suspended generator holds which is merely iterated over.

Context: tick handler and trace callback. Only frames of code that `may_hold` are asked.
"""

from __future__ import annotations

import _thread
import contextlib
import sys
import threading
from collections import deque
from collections.abc import Mapping
from types import (
    AsyncGeneratorType,
    BuiltinMethodType,
    CodeType,
    FrameType,
    FunctionType,
    GeneratorType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    MethodWrapperType,
)
from typing import Any, Final, TypeVar

from preemptio._core._step import run_step
from preemptio._preempt import _iframe
from preemptio._preempt._blocks import Chain, blocks

T = TypeVar("T", bound=type)

RUN_STEP: Final = run_step.__code__
"""Where the step's frames end."""

DEPTH: Final = 8
"""Context managers within context managers that are looked through."""

# What a class says of itself, past whatever its metaclass would say.
_mro: Final = type.__dict__["__mro__"].__get__
_names: Final = type.__dict__["__dict__"].__get__

_known: Final[dict[int, type]] = {}
_late: Final[dict[str, tuple[str, ...]]] = {
    "multiprocessing.synchronize": ("SemLock", "Condition"),
    "multiprocessing.managers": ("AcquirerProxy",),
    "filelock": ("BaseFileLock", "AcquireReturnProxy"),
}
"""Lock classes of modules that are looked for when they have been imported, and not before."""

_METHODS: Final = frozenset({"__enter__", "__exit__", "acquire", "release"})
_BOUND: Final = frozenset({MethodType, BuiltinMethodType, MethodWrapperType})
_RLOCK: Final = type(threading.RLock())
_STACK: Final = contextlib._BaseExitStack  # of ExitStack and AsyncExitStack
_GENERATED: Final = contextlib._GeneratorContextManagerBase  # of both kinds again


def register_lock_type(cls: T) -> T:
    """Declare a class of context managers, and its subclasses, to be locks: their holder is not preempted.

    The locks of `threading` and `multiprocessing` and those of the package filelock are known. Usable as a decorator.

    Raises:
        TypeError: it is not a class.

    >>> import preemptio, threading
    >>> @preemptio.register_lock_type
    ... class Guard:
    ...     def __init__(self):
    ...         self.lock = threading.Lock()
    ...     def __enter__(self):
    ...         self.lock.acquire()
    ...     def __exit__(self, *exc):
    ...         self.lock.release()
    """
    if not isinstance(cls, type):
        raise TypeError(
            f"a lock type is a class, and this is an object of the class {type(cls).__name__}: "
            f"write preemptio.register_lock_type({type(cls).__name__})"
        )
    _known[id(cls)] = cls
    return cls


for _kind in (_thread.LockType, _RLOCK, threading._RLock, threading.Condition, threading.Semaphore):
    register_lock_type(_kind)


def may_hold(code: CodeType) -> bool:
    """Report whether a frame of this code can hold a lock at all: one of others need not be asked."""
    return code.co_name in _METHODS or blocks(code) is not None


def holds(frame: FrameType, depth: int = DEPTH) -> bool:
    """Report whether this frame, running or suspended, holds a thread lock."""
    code = frame.f_code
    if code.co_name in _METHODS and code.co_argcount and _iframe.AVAILABLE and _is_lock(_iframe.local(frame, 0)):
        return True
    table = blocks(code)
    if table is None or frame.f_lasti < 0:
        return False
    exits, releases = table.at(frame.f_lasti)
    if not _iframe.AVAILABLE:
        return bool(releases) or any(not each.asynchronous for each in exits)
    for each in exits:
        bound: Any = _iframe.slot(frame, table.stack + each.slot)
        if type(bound) in _BOUND and _manages_lock(bound.__self__, depth):
            return True
    return any(_taken(_resolve(frame, chain)) for chain in releases)


def holds_as_thread(frame: FrameType) -> bool:
    """Report whether the step holds a lock that belongs to the thread: it would let every other task in."""
    at: FrameType | None = frame
    while at is not None and at.f_code is not RUN_STEP:
        table = blocks(at.f_code) if at.f_code.co_exceptiontable else None
        if table is not None and at.f_lasti >= 0:
            exits, releases = table.at(at.f_lasti)
            if not _iframe.AVAILABLE:
                return bool(releases) or any(not each.asynchronous for each in exits)
            bound: list[Any] = [_iframe.slot(at, table.stack + each.slot) for each in exits]
            held = [one.__self__ for one in bound if type(one) in _BOUND and _manages_lock(one.__self__, DEPTH)]
            held += [one for one in (_resolve(at, chain) for chain in releases) if _taken(one)]
            if any(type(one) is not _thread.LockType for one in held):
                return True
        at = at.f_back
    return False


def _manages_lock(manager: object, depth: int) -> bool:
    """Report whether a context manager that was entered is a lock that is taken, or has one inside."""
    if _is_lock(manager):
        return _taken(manager)
    if depth <= 0:
        return False
    kind = type(manager)
    if _derives(kind, _STACK):
        return _in_stack(manager, depth - 1)
    if _derives(kind, _GENERATED):
        generator = (_namespace(manager) or {}).get("gen")
        if type(generator) is GeneratorType:
            inside: FrameType | None = generator.gi_frame
        elif type(generator) is AsyncGeneratorType:
            inside = generator.ag_frame
        else:
            return False
        return inside is not None and holds(inside, depth - 1)
    return False


def _in_stack(stack: object, depth: int) -> bool:
    callbacks = (_namespace(stack) or {}).get("_exit_callbacks")
    if type(callbacks) is not deque:
        return False
    for _synchronous, callback in list(callbacks):
        if type(callback) in _BOUND:
            if _manages_lock(callback.__self__, depth):
                return True
        elif type(callback) is FunctionType:  # stack.callback(lock.release)
            release: Any = callback.__dict__.get("__wrapped__")
            if type(release) in _BOUND and _name(release) == "release" and _taken(release.__self__):
                return True
    return False


def _name(bound: Any) -> str:
    function = bound.__func__ if type(bound) is MethodType else bound
    return function.__name__ if type(function) in {FunctionType, BuiltinMethodType} else ""


def _taken(thing: object) -> bool:
    """Report whether it is a lock that is taken, as far as it can be asked without running code."""
    if type(thing) is _thread.LockType:
        return thing.locked()
    if not _is_lock(thing):
        return False
    if _derives(type(thing), _RLOCK):
        return bool(_RLOCK._is_owned(thing))  # type: ignore[attr-defined]
    if _derives(type(thing), threading.Condition):
        return _taken((_namespace(thing) or {}).get("_lock"))
    return True


def _is_lock(thing: object) -> bool:
    bases = _mro(type(thing))
    for base in bases:
        if id(base) in _known:
            return True
    return len(sys.modules) != _modules and _look_again() and any(id(base) in _known for base in bases)


_modules = 0  # how many there were when they were looked through last; writer: _look_again


def _look_again() -> bool:
    """Register the locks of modules that were imported since; report whether there are new ones."""
    global _modules  # noqa: PLW0603
    found, half = False, False
    for name in [name for name in _late if name in sys.modules]:
        names = _namespace(sys.modules[name]) or {}
        classes = [names.get(each) for each in _late[name]]
        if None in classes:  # it is being imported
            half = True
            continue
        del _late[name]
        _known.update((id(each), each) for each in classes if each is not None)
        found = True
    _modules = 0 if half else len(sys.modules)
    return found


def _derives(kind: type, base: type) -> bool:
    return any(each is base for each in _mro(kind))  # not `in`: that would ask the metaclass


def _resolve(frame: FrameType, chain: Chain) -> object:
    """Return what a chain of names stands for in a frame; None where finding out would run code."""
    found: Any
    if chain.kind == "global":
        names = frame.f_globals
        found = names.get(chain.name) if type(names) is dict else None
    else:
        found = _iframe.local(frame, chain.slot)
    for attribute in chain.attributes:
        found = _attribute(found, attribute)
    return found


def _attribute(thing: object, name: str) -> object:
    names = _namespace(thing)
    if names is not None and name in names:
        return names[name]
    kind = type(thing)
    owners = [*(_mro(thing) if _derives(kind, type) else ()), *_mro(kind)]
    for owner in owners:
        found = _names(owner).get(name)
        if type(found) is MemberDescriptorType:  # __slots__
            try:
                return found.__get__(thing)
            except AttributeError:
                return None
        if found is not None:
            return found  # a property is returned as such, and is no lock
    return None


def _namespace(thing: object) -> Mapping[str, Any] | None:
    """Return an object's own dictionary; None if it has none, or if its class makes one up."""
    for base in _mro(type(thing)):
        found = _names(base).get("__dict__")
        if found is not None:
            if type(found) is not GetSetDescriptorType and type(found) is not MemberDescriptorType:
                return None
            names: Any = found.__get__(thing)
            return names if type(names) is dict or type(names) is MappingProxyType else None
    return None
