"""The roots: what each G refers to, and what all of them share.

Problem. To say what a G keeps alive, or whether anybody can still wake it, every reference from outside of the heap
must be known: from frames, from the interpreter, from other threads, from the loop.

What we do. A root job per G (`roots_of`): its frames' variables and evaluation stack, the coroutines and greenlets that
connect them, its context, what it awaits, what its task keeps, and what waits to be raised in it. One job for the rest
(`process_roots`): modules, signal handlers, other threads. What a loop has belongs to the package that knows loops: its
`shared_roots` begins with this.

The runtime's own objects are no roots, though frames of the runtime and the task refer to them: each leads to the loop,
and so to everything.

Not seen: callbacks of atexit (they run when everything is over), thread-local variables of other threads, and what C
code alone refers to.

Context: `roots_of` as `look`; `process_roots` in any thread, as an iterator, since a program has many modules.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final

from preemptio._compat import RELEASE
from preemptio._core._g import place_of
from preemptio._core._task_context import context_of
from preemptio._preempt import _iframe
from preemptio._scan._classes import ids, is_a, qualname_of
from preemptio._scan._depths import live
from preemptio._scan._frames import OPTIMIZED, RUN_STEP, Live, greenlet, look, values
from preemptio._scan._root import Root

if TYPE_CHECKING:
    from preemptio._core._g import G

_attributes: Final = greenlet.__dict__["__dict__"].__get__

_OPAQUE: Final = ids(type, int, str, bool, type(None), FrameType)
"""Classes of what a task refers to that is no root."""


def roots_of(g: G) -> list[Root]:
    """Return what the frames of a G, and the objects that make it up, refer to.

    Args:
        g: one that is held, or that of the caller. For a dead one what its task kept is returned.

    Context: any thread while it is held; the result must not outlive that.
    """
    roots: list[Root] = []
    task, extra = g.task, g._extra
    if task is None:
        return roots
    sight = look(g)
    for each in sight.frames:
        roots += _frame_roots(each)
    awaits = sight.awaits, getattr(task, "_fut_waiter", None), extra.waiting_on
    roots += [Root(thing, "awaits") for thing in {id(each): each for each in awaits if each is not None}.values()]
    record = extra.parked
    if record is not None and record.throw is not None:
        roots.append(Root(record.throw, "to be raised"))
    for context in (context_of(task), *sight.contexts):
        if context is not None:
            roots += [Root(value, f"context variable {var.name}") for var, value in context.items()]
            roots.append(Root(context, "context"))
    for link in sight.links:
        if is_a(link, greenlet):  # no walk looks into one that is suspended, nor what exception it handles
            roots += [Root(link, "greenlet", precise=False), Root(_attributes(link), "attributes of a greenlet")]
            continue
        handled = [each for each in gc.get_referents(link) if is_a(each, BaseException)]
        roots += [Root(each, "exception being handled") for each in handled]
        roots.append(Root(link, qualname_of(type(link))))
    if extra.hold is not None:
        for item in extra.hold.deferred:
            roots += [Root(arg, "wakes it") for arg in (item[2] if type(item) is tuple else ())]
    if extra.policy is not None:
        roots.append(Root(extra.policy, "policy"))
    roots += _task_roots(task, g, {id(root.obj) for root in roots})
    return roots


def _frame_roots(each: Live) -> Iterator[Root]:
    place, precise = each.place, each.precise
    for name, value in each.values:
        yield Root(value, f"{name or 'evaluation stack'} ({place})", precise)


def _task_roots(task: Any, g: G, known: set[int]) -> Iterator[Root]:
    if task.done():
        for thing, name in ((task._result, "result"), (task._exception, "exception")):
            if thing is not None:
                known.add(id(thing))
                yield Root(thing, name)
    for callback in task._callbacks or ():
        yield Root(callback[0], "done callback")
        yield Root(callback[1], "context of a done callback")
        known.update(map(id, callback))
    loop = task.get_loop()
    for thing in gc.get_referents(task):
        if thing is not loop and thing is not g and id(type(thing)) not in _OPAQUE and id(thing) not in known:
            yield Root(thing, "task")


def process_roots() -> Iterator[Root]:
    """Yield what the process refers to whatever its loops do: modules, signal handlers, the frames of threads.

    The frames of the calling thread are the caller's and so on outward, unless that is a step: then they are a G's.
    """
    for name, module in list(sys.modules.items()):
        yield Root(module, f"module {name}")
    for number in sorted(signal.valid_signals()):
        handler = signal.getsignal(number)
        if callable(handler) and handler is not signal.default_int_handler:
            yield Root(handler, f"handler of signal {int(number)}")
    for kind, hook in (("trace", sys.gettrace()), ("profile", sys.getprofile())):
        if hook is not None:
            yield Root(hook, f"{kind} function")
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    own = threading.get_ident()
    for ident, frame in list(sys._current_frames().items()):
        if ident != own:
            yield from _running_frames(frame, names.get(ident, str(ident)))
    yield from _own_frames(names.get(own, str(own)))


def _own_frames(thread: str) -> Iterator[Root]:
    here = frame = sys._getframe()
    while frame is not None:
        if frame.f_code is RUN_STEP:
            return
        frame = frame.f_back  # type: ignore[assignment]
    yield from standing_frames(here.f_back, here, f"thread {thread}")


def standing_frames(frame: FrameType | None, callee: FrameType | None, where: str) -> Iterator[Root]:
    """Yield what frames refer to that do not run meanwhile, from the innermost outward."""
    while frame is not None:
        if _iframe.AVAILABLE:
            before, depth, precise = live(frame, callee)
            found = values(frame, before + depth)
        else:
            precise, found = False, list(_names_and_values(frame))
        place = place_of(frame.f_code, frame.f_lasti)
        for name, value in found:
            yield Root(value, f"{name or 'evaluation stack'} ({place}) in {where}", precise)
        callee, frame = frame, frame.f_back


def _running_frames(innermost: FrameType, thread: str) -> Iterator[Root]:
    """Yield the variables of frames that another thread runs. Their evaluation stacks change all the time."""
    frame: FrameType | None = innermost
    while frame is not None:
        place = place_of(frame.f_code, frame.f_lasti)
        for name, value in _names_and_values(frame):
            yield Root(value, f"{name} ({place}) in thread {thread}", precise=False)
        frame = frame.f_back


def _names_and_values(frame: FrameType) -> list[tuple[str, object]]:
    if RELEASE >= (3, 13) or not frame.f_code.co_flags & OPTIMIZED:
        return list(frame.f_locals.items())
    return list(_iframe.peek(frame).items()) if _iframe.AVAILABLE else []


def name_of(callback: Callable[..., object]) -> str:
    """Return how a callback is called, without running code of its own."""
    kind = type(callback)
    if kind is MethodType:
        callback = callback.__func__  # type: ignore[attr-defined]
    if type(callback) is FunctionType:
        return callback.__qualname__
    return qualname_of(kind)
