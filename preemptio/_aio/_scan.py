"""The scanner: a background G that walks the heap in slices, and the Gs one after the other.

Problem. What a task keeps alive, and whether anything can wake it, is in the heap: millions of objects, which cannot be
visited while the loop stands still.

What we do. A scan is a G of the background class: it runs when nothing else wants to, for half a millisecond at a time.
Which Gs there are is noted at the beginning; each is a job: it is suspended just while its roots are taken. What is
reachable from all sides - globals, timers, I/O, other threads - is one job more. At the end comes what has to be seen
at one moment. What that is differs: for leaks see `_leaks.py`, for sizes `_retained.py`.

The moment. Go stops the world. Here all Gs of a loop share a thread, and the runtime's own code is never preempted:
while the scanner does not await, nothing else of the loop runs. To hold a thousand Gs first takes longer than what is
done then. So a moment is a stretch without an await, and counts as a pause like a stop of the world. Other threads run
on; whoever must not be disturbed by them needs one call of C.

It must grow neither with the heap nor with the number of Gs. A step that the tick finds overdue is searched for a
safe point by tracing, under which everything takes five times as long, the longer the more ticks come; so a moment is
the beginning of a slice, and short enough not to be overdue. To ask all Gs who has run takes half a microsecond each:
that is done in slices before, and who runs from then on is noted (`watch`). A collection, which takes seconds for a
large heap, waits until it is over.

One scan a loop at a time: the next waits for its turn.

Invariants.
  S1  No G is a job twice in one round, and none of those that were noted is left out and alive. Else: InternalError.
  S2  Who has run, or was born, since its roots were taken is known at the last look (`watch`, after `ran_since`).
  S3  The scanner's own objects are hidden from the walk. Its G is no root; who called it is, like any other.

Context: a task of the loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Container, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Protocol, TypeVar, cast
from weakref import WeakKeyDictionary

from preemptio._aio._cancels import weak_sets
from preemptio._aio._go import go
from preemptio._aio._inspect import all_gs
from preemptio._aio._runtime import RuntimeLoop
from preemptio._aio._suspend import resume_g, suspend
from preemptio._aio._world import world_of
from preemptio._core._current import current_g
from preemptio._core._g import G
from preemptio._core._gstatus import DEAD
from preemptio._core._instruments import Instrument
from preemptio._core._pauses import Pauses
from preemptio._core._reasons import PauseReason
from preemptio._errors import InternalError, NotAGError
from preemptio._scan._collector import uncollected
from preemptio._scan._graph import clock
from preemptio._scan._root import Root
from preemptio._scan._roots import roots_of

T = TypeVar("T")

SLICE: Final = 0.000_5
"""Seconds that a scan runs before it gives way."""


class Sliced(Protocol):
    """Work that can be done in slices."""

    def run(self, until: float) -> bool:
        """Go on until it is done, or it is `until`; report whether it is done."""


_turns: Final[WeakKeyDictionary[Any, asyncio.Lock]] = WeakKeyDictionary()


async def scan(work: Callable[[Scan], Coroutine[Any, Any, T]], who: str, *, background: bool) -> T:
    """Do `work` in a G of its own, when no other scan of this loop runs."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, RuntimeLoop) or current_g() is None:
        msg = f"{who}() works inside a task of a preemptio loop only: start the program with preemptio.run(main())"
        raise NotAGError(msg)
    task = go(_run(loop, work), name=f"preemptio.{who}", background=background)
    try:
        return cast("T", await task)
    finally:
        if not task.done():
            task.cancel()


async def _run(loop: Any, work: Callable[[Scan], Coroutine[Any, Any, T]]) -> T:
    async with _turns.setdefault(loop, asyncio.Lock()):
        return await work(Scan(loop))


class Scan:
    """One scan: who was looked at, and when to give way."""

    def __init__(self, loop: Any) -> None:
        """Note which Gs there are."""
        me = current_g()
        assert me is not None
        self.loop = loop
        self.me = me
        self.until = clock() + SLICE
        self.gs = self.now()
        self.looked_at: dict[G, int] = {}  # which have had their roots taken, and their slices at that time
        self.newest = max((g.id for g in self.gs), default=0)

    def own(self) -> list[Any]:
        """Return what must be hidden from a walk: what belongs to the scan, and what is reached by the loop alone."""
        task = self.me.task
        return [self, self.__dict__, self.me, task, task.get_coro(), *weak_sets(self.loop)]

    async def give_way(self) -> None:
        """Let others run, if the slice is used up."""
        if clock() >= self.until:
            await self.fresh()

    async def fresh(self) -> None:
        """Begin a new slice: a search for a safe point in the last one has frames, and with them what they refer to."""
        await asyncio.sleep(0)
        self.until = clock() + SLICE

    async def through(self, work: Sliced) -> None:
        """Do all of some work."""
        while not work.run(self.until):
            await self.give_way()
        await self.give_way()

    async def job(self, g: G, take: Callable[[Any, list[Root]], None]) -> None:
        """Take the roots of a G, while it is held; `take` gets its task and them."""
        if g in self.looked_at:
            msg = f"G {g.id} was scanned twice"
            raise InternalError(msg, g.dump(others=True))
        state = await suspend(self.loop, g, self.me, None)
        try:
            self.looked_at[g] = g.slices
            task = g.task
            if task is not None and not state.dead:
                take(task, list(roots_of(g)))
        finally:
            resume_g(state)
        await self.give_way()

    @asynccontextmanager
    async def moment(self) -> AsyncIterator[None]:
        """Be the only one that runs, for as long as the body awaits nothing; it is recorded as a pause."""
        await self.fresh()
        with uncollected():
            start = time.perf_counter()
            yield
            paused = time.perf_counter() - start
        world_of(self.loop).pauses.setdefault(str(PauseReason.SCAN), Pauses()).add(0.0, paused)

    @contextmanager
    def watch(self) -> Iterator[dict[G, None]]:
        """Note all Gs that run, or are born, in the dictionary that is given."""
        table, ran = self.loop._p.instruments, Ran()
        table.add(ran)
        try:
            yield ran.gs
        finally:
            table.remove(ran)

    async def ran_since(self, gs: Iterable[G]) -> list[G]:
        """Return those of some Gs that ran after their roots were taken, or have none taken, and are not dead."""
        found = []
        for g in gs:
            if self.looked_at.get(g) != g.slices and g.status is not DEAD:
                found.append(g)
            await self.give_way()
        return found

    async def missed(self, known: Container[G]) -> None:
        """Check that each G that was noted is `known`, or dead by now: an unknown one may hold what others wait for.

        Raises:
            InternalError: one was missed.
        """
        for g in self.now():
            if g.id <= self.newest and g not in known:
                msg = f"G {g.id} was missed by the scan"
                raise InternalError(msg, g.dump(others=True))
            await self.give_way()

    def now(self) -> list[G]:
        """Return the Gs that there are, but the scanner's."""
        return [g for g in all_gs(self.loop) if g is not self.me]


class Ran(Instrument):
    """Notes which Gs run, and which are born."""

    def __init__(self) -> None:
        """Start with none."""
        self.gs: dict[G, None] = {}

    def created(self, g: G) -> None:
        """Note one that is born."""
        self.gs[g] = None

    def started(self, g: G) -> None:
        """Note one that is given the CPU."""
        self.gs[g] = None
