"""The live frames of a G that does not run, and what each refers to.

Problem. A G's Python stack is in several places: coroutines that await each other, the carrier on which it was stopped
in mid-step, greenlets that its step made (SQLAlchemy, greenback). No Python interface shows it in one piece, and the
usual one for variables, `f_locals`, leaves on 3.11 and 3.12 a dictionary in the frame that keeps old values alive.

What we do. Begin at the outermost and go inward.

- A G that waits: `cr_await` leads from one coroutine to the next, and its like for generators and asynchronous
  generators. What is between them - `asend()`, a coroutine's `__await__` - shows nothing but its referents.
- A G that was stopped in mid-step: the frames of its carrier, from the step's coroutine to the one that was
  interrupted. What the runtime has put on top is cut off; if that waits (`preemptio.wait`), its coroutines follow.
- A greenlet that a frame refers to, that is suspended, and that was made on a carrier: its frames follow that frame,
  for the frame has switched to it and awaits on its behalf.

Variables are read where they lie (`_iframe`), and of the evaluation stack what is known to be live (`_depths`). Where
the interpreter is unknown there is less: what the garbage collector sees of suspended coroutines, all conservative.

Not seen: what C code holds between two frames, the frames of coroutines that are not CPython's own (Cython's) and what
is beyond an awaitable written by hand, unless it refers to one single coroutine. Where a frame may be missing or may
refer to more than is told, it says so: it is conservative.

Invariants. Nothing is written and none of the user's code runs: what is met is asked for its class alone, by identity.
The result refers to frames and values; it must not outlive the suspension.

Context: any thread, while the G is held; or the thread of its loop, where nothing of it runs meanwhile. From another
thread, of a G that nobody holds: `look(g, innermost=...)`, which reads no variables, since the frames may run on
between two of its instructions. What it finds may then be stale, or end early.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from types import AsyncGeneratorType, CellType, CoroutineType, FrameType, GeneratorType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from greenlet import greenlet as greenlet

from preemptio._compat import RELEASE
from preemptio._core._carrier import Carrier
from preemptio._core._g import place_of
from preemptio._core._reasons import SafePointKind
from preemptio._core._step import run_step
from preemptio._preempt import _iframe
from preemptio._scan._classes import ids, is_a, mro_of, names_of
from preemptio._scan._depths import depths, live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from preemptio._core._g import G

RUN_STEP: Final = run_step.__code__

_frame_of: Final = greenlet.gr_frame.__get__
_context_of: Final = greenlet.gr_context.__get__
_parent_of: Final = greenlet.parent.__get__

_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_OWN_APPS: Final = os.path.join(_PACKAGE, "_cli") + os.sep

OPTIMIZED: Final = 0x1
"""CO_OPTIMIZED: the code of a function, whose variables are in slots."""

_VARIABLES_SHOW: Final = RELEASE >= (3, 13)
"""`f_locals` of a function is a view, and leaves nothing behind."""


def _learn_between() -> frozenset[type]:
    """Return the private types that stand between a coroutine and what it awaits."""

    async def generator() -> Any:
        yield

    async def coroutine() -> None: ...

    agen, coro = generator(), coroutine()
    asend, athrow, nexts = agen.asend(None), agen.athrow(ValueError), anext(agen, None)
    between = (asend, nexts, athrow, coro.__await__())
    for each in between:
        with contextlib.suppress(StopIteration, StopAsyncIteration, ValueError):
            each.send(None)  # to the end, or each would warn that it was never awaited
    return frozenset(map(type, between))


_BETWEEN: Final = _learn_between()
_LINKS: Final = ids(CoroutineType, GeneratorType, AsyncGeneratorType, *_BETWEEN)

_MACHINERY: Final = frozenset(
    {"preemptio._core._processor", "preemptio._core._g", "preemptio._core._carrier", "preemptio._core._parked"}
    | {"preemptio._core._hold", "preemptio._preempt._suspend", "preemptio._aio._runtime", "preemptio._aio._world"}
)
"""Modules of the runtime's own objects, by name: what is above this package cannot be imported here."""

_FEW: Final = 32
"""Attributes of an awaitable that are looked through."""

Value = tuple[str, object]
"""A variable's name, or "" for the evaluation stack, and what it holds."""


class Live(NamedTuple):
    """One frame of a G."""

    frame: FrameType
    kind: SafePointKind
    precise: bool  # whether `values` is all that it refers to, and no frame is missing behind it
    values: list[Value]

    @property
    def place(self) -> str:
        """Where it stands."""
        return place_of(self.frame.f_code, self.frame.f_lasti)


class Sight:
    """What is seen of a G: its frames, outermost first, and what connects them."""

    __slots__ = ("_reads", "_seen", "awaits", "contexts", "frames", "links")

    def __init__(self, *, reads: bool = True) -> None:
        """See nothing yet. `reads`: whether the frames stand still, so that their variables can be read."""
        self._reads = reads
        self.frames: list[Live] = []
        self.links: list[Any] = []  # coroutines, generators and what is between them, and greenlets
        self.contexts: list[Any] = []  # of the greenlets
        self.awaits: object = None  # what the innermost of them awaits, if that has no frame
        self._seen: set[int] = set()

    @property
    def precise(self) -> bool:
        """Whether everything that its frames refer to is known."""
        return all(each.precise for each in self.frames)

    def awaited(self, thing: Any) -> None:
        """Add what is awaited: coroutines, one inside the other."""
        while thing is not None and id(thing) not in self._seen:
            kind = type(thing)
            if id(kind) not in _LINKS:
                inner = _only_link(thing)
                if inner is None:
                    self.awaits = thing
                    return
                self.links.append(thing)
                if self.frames:
                    self.frames[-1] = self.frames[-1]._replace(precise=False)
                thing = inner
                continue
            self._seen.add(id(thing))
            self.links.append(thing)
            if kind is CoroutineType:
                frame, inner = thing.cr_frame, thing.cr_await
            elif kind is GeneratorType:
                frame, inner = thing.gi_frame, thing.gi_yieldfrom
            elif kind is AsyncGeneratorType:
                frame, inner = thing.ag_frame, thing.ag_await
            else:
                frame, inner = None, next((each for each in gc.get_referents(thing) if id(type(each)) in _LINKS), None)
            if frame is not None:
                self._frame(frame, SafePointKind.BLOCKED, None, thing)
            thing = inner

    def standing(
        self, innermost: FrameType | None, kind: SafePointKind, base: FrameType | None, *, waits: bool = False
    ) -> None:
        """Add frames that call each other, up to `base` or the one that runs the step; `waits`: in preemptio.wait."""
        chain: list[FrameType] = []
        while innermost is not None and innermost.f_code is not RUN_STEP:
            chain.append(innermost)
            innermost = None if innermost is base else innermost.f_back
        first = next((i for i, each in enumerate(chain) if not _runtime(each)), len(chain))
        for i in range(len(chain) - 1, first - 1, -1):
            self._frame(chain[i], kind, chain[i - 1] if i > first else None, None)
        if waits and self._reads and _iframe.AVAILABLE:
            driven = (value for each in chain[:first] for _, value in values(each, variables(each)))
            self.awaited(next((value for value in driven if id(type(value)) in _LINKS), None))

    def _frame(self, frame: FrameType, kind: SafePointKind, callee: FrameType | None, owner: object) -> None:
        if not self._reads:
            self.frames.append(Live(frame, kind, False, []))
            return
        if _iframe.AVAILABLE:
            before, depth, precise = live(frame, callee)
            found = values(frame, before + depth)
            if owner is None:
                owner = _iframe.generator(frame)
                if owner is not None:
                    self.links.append(owner)
        else:
            precise, found = False, _values_elsewhere(frame, owner)
        if _runtime(frame):  # its operands are its variables
            precise, found = _iframe.AVAILABLE, [each for each in found if not _machinery(each[1])]
        self.frames.append(Live(frame, kind, precise, found))
        for _, value in found:
            if is_a(value, greenlet) and id(value) not in self._seen and _child(value):
                self._seen.add(id(value))
                self.links.append(value)
                self.contexts.append(_context_of(value))
                self.standing(_frame_of(value), kind, None)


def look(g: G, innermost: FrameType | None = None) -> Sight:
    """Return what is to be seen of a G that is held, or of the one whose own code asks.

    `innermost`: the frame that the G's thread has reached, for one that is not held, from another thread.
    """
    sight = Sight(reads=innermost is None)
    task, record = g.task, g._extra.parked
    coro = None if task is None else task.get_coro()
    base = _own_frame(coro)
    if record is not None:
        sight.standing(_frame_of(record.standing_on), kind_of(g), base, waits=g._extra.waiting_on is not None)
    elif base is not None and _running(coro):
        own: FrameType | None = innermost or sys._getframe(1)
        while own is not None and own is not base:
            own = own.f_back
        if own is None:  # an eager task's, in the middle of another's step
            sight.standing(base, kind_of(g), base)
            sight.frames = [each._replace(precise=False) for each in sight.frames]
        else:
            sight.standing(innermost or sys._getframe(1), SafePointKind.SYNC, base)
    else:
        sight.awaited(coro)
    return sight


def kind_of(g: G) -> SafePointKind:
    """Return at which kind of safe point a G stands that does not run."""
    extra = g._extra
    if extra.parked is None or extra.blocked_at is not None:
        return SafePointKind.BLOCKED
    return SafePointKind.ASYNC if extra.async_safe_point else SafePointKind.SYNC


def values(frame: FrameType, count: int) -> list[Value]:
    """Return what is in the first slots of a frame, by name; a cell's content for a cell."""
    code, found = frame.f_code, list[Value]()
    before = variables(frame)
    slot = _iframe.slot
    for index in range(count):
        value = slot(frame, index)
        if value is None:
            continue
        name = code._varname_from_oparg(index) if index < before else ""  # type: ignore[attr-defined]
        if type(value) is CellType and name:
            try:
                value = value.cell_contents
            except ValueError:
                continue
        found.append((name, value))
    namespace = _iframe.namespace(frame)
    if type(namespace) is dict and not code.co_flags & OPTIMIZED:  # a class body, exec()
        found += namespace.items()
    elif namespace is not None:
        found.append(("locals()", namespace))
    found.append(("function", _iframe.function(frame)))
    return found


def variables(frame: FrameType) -> int:
    """Return how many variables a frame has: its first slots."""
    return depths(frame.f_code).base


def greenlet_values(thing: Any) -> Iterator[object]:
    """Yield what the frames of a suspended greenlet refer to, which no walk over the heap sees. For any greenlet."""
    frame, callee = _frame_of(thing), None
    while frame is not None and _iframe.AVAILABLE:
        before, depth, _ = live(frame, callee)
        for _, value in values(frame, before + depth):
            yield value
        callee, frame = frame, frame.f_back


def _values_elsewhere(frame: FrameType, owner: object) -> list[Value]:
    """Return what can be seen of a frame by an interpreter that is not known."""
    if _VARIABLES_SHOW or not frame.f_code.co_flags & OPTIMIZED:
        return list(frame.f_locals.items())
    if owner is None:
        return []
    return [("", each) for each in gc.get_referents(owner) if type(each) is not FrameType]


def _child(thing: Any) -> bool:
    """Report whether a greenlet is suspended and was made on a carrier."""
    if is_a(thing, Carrier) or _frame_of(thing) is None:
        return False
    parent = _parent_of(thing)
    while parent is not None and not is_a(parent, Carrier):
        parent = _parent_of(parent)
    return parent is not None


def _runtime(frame: FrameType) -> bool:
    filename = frame.f_code.co_filename
    return filename.startswith(_PACKAGE) and not filename.startswith(_OWN_APPS)


def _machinery(thing: object) -> bool:
    """Report whether it is a part of the runtime, which a frame of its own refers to, and which leads to everything."""
    return any(names_of(base).get("__module__") in _MACHINERY for base in mro_of(type(thing)))


def _own_frame(coro: Any) -> FrameType | None:
    if type(coro) is CoroutineType:
        return coro.cr_frame
    return coro.gi_frame if type(coro) is GeneratorType else None


def _running(coro: Any) -> bool:
    return bool(coro.cr_running if type(coro) is CoroutineType else coro.gi_running)


def _only_link(thing: Any) -> Any:
    """Return the coroutine behind an awaitable that is written by hand, if it refers to one; None for a future."""
    for base in mro_of(type(thing)):
        if "_asyncio_future_blocking" in names_of(base):
            return None
    found = gc.get_referents(thing)
    for each in found[:]:
        if type(each) is dict and len(each) <= _FEW:
            found += each.values()
    links = [each for each in found if id(type(each)) in _LINKS]
    return links[0] if len(links) == 1 else None
