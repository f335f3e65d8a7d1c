"""What a loop refers to: timers, ready handles, I/O registrations, and what else it keeps for the program.

The loop's share of the roots (`_scan/_roots.py`). What the runtime itself keeps in the loop - its processor, with every
G that stands off its carrier - is left out: each G answers for itself.

asyncio keeps these things in attributes of the loop. uvloop keeps them in C fields; the garbage collector sees the
queue, the timers, the descriptors that were registered by hand, and the servers. Its transports are known to it weakly,
but whatever the program refers to, the kernel may call them: so they count. A connect or a look-up that is under way is
not seen.

Context: the loop's thread, or another while the loop does not run.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, Final
from weakref import WeakValueDictionary

from preemptio._aio._inspect import LOOPS
from preemptio._core._parked import Parked
from preemptio._scan._classes import attribute, names_of, qualname_of
from preemptio._scan._root import Root
from preemptio._scan._roots import name_of, process_roots, standing_frames

_RUNTIME: Final = frozenset(
    {"_p", "_ticker", "_rules", "_suspends", "_world", "_empty", "_schedtrace", "_thread", "_poll"}
    | {"_runs", "_queue", "_mark", "_timers", "_dispatch_handle", "_single", "_shared"}
)
"""Attributes that are the runtime's own, or are looked into one by one."""

_QUEUES: Final = frozenset({"_ready", "_scheduled", "_selector"})


def shared_roots(loop: Any) -> Iterator[Root]:
    """Yield what all Gs of a loop share: what belongs to the process, to this loop, and to other loops.

    Args:
        loop: a loop of preemptio.

    Returns:
        An iterator: a slice of it may be taken at a time.
    """
    yield from process_roots()
    yield from _hub(loop)
    yield from _timers(loop)
    yield from _ready(loop)
    yield from _registered(loop)
    own = vars(loop)
    for name, value in list(own.items()):
        if name not in _RUNTIME and name not in _QUEUES and value is not None:
            yield Root(value, f"the loop's {name}")
    for value in gc.get_referents(loop):
        if value is own or type(value) is type or value is getattr(loop, "_queue", own):
            continue
        if type(value) is WeakValueDictionary:
            for fd, transport in list(value.items()):
                yield Root(transport, f"transport of descriptor {fd}")
        elif not any(value is each for each in own.values()):
            yield Root(value, f"the loop's {qualname_of(type(value))}")
    for other in list(LOOPS):
        if other is not loop and not other.is_closed():
            yield Root(other, "another loop")
            for task in asyncio.all_tasks(other):
                yield Root(task, "a task of another loop")


def _hub(loop: Any) -> Iterator[Root]:
    """Yield what those frames refer to that run the loop: asyncio.run and what has called it."""
    hub = loop._p.hub
    if hub is None or threading.get_ident() != loop._thread:
        return
    frame = hub.gr_frame
    if frame is not None:
        yield from standing_frames(frame, None, "the loop's thread")
    context = hub.gr_context
    if context is not None:
        for var, value in context.items():
            yield Root(value, f"context variable {var.name} of the loop's thread")


def _timers(loop: Any) -> Iterator[Root]:
    handles = loop._scheduled if hasattr(loop, "_scheduled") else getattr(loop, "_timers", None) or ()
    for handle in list(handles):
        if not _is_cancelled(handle):
            yield Root(handle, f"timer: {_called(handle)}")


def _ready(loop: Any) -> Iterator[Root]:
    """Yield the handles that are ready. A step among them is no root: its G is."""
    queue: deque[Any] = getattr(loop, "_ready", None) or getattr(loop, "_queue", None) or deque()
    for handle in list(queue):
        if type(handle) is not tuple and type(handle) is not Parked and not _is_cancelled(handle):
            yield Root(handle, f"ready: {_called(handle)}")


def _registered(loop: Any) -> Iterator[Root]:
    selector: Any = getattr(loop, "_selector", None)
    registered = None if selector is None else selector.get_map()
    for key in list((registered or {}).values()):
        yield Root(key.data, f"I/O: descriptor {key.fd}")
        yield Root(key.fileobj, f"I/O: descriptor {key.fd}")


def _is_cancelled(handle: Any) -> bool:
    cancelled = names_of(type(handle)).get("cancelled")
    return bool(handle.cancelled()) if cancelled is not None else bool(attribute(handle, "_cancelled"))


def _called(handle: Any) -> str:
    callback = attribute(handle, "_callback")
    return qualname_of(type(handle)) if callback is None else name_of(callback)
