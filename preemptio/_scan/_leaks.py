"""Leaks: blocked Gs that nothing possibly runnable can wake. Go 1.27's algorithm, and a proof at its end.

Problem. A G is leaked if what it waits for cannot be reached from any G that can still run, any timer, I/O
registration, global or thread. To say so of one that will be woken is worse than to be silent. But the heap is marked
while the program changes it, and Python has no write barrier: a reference that moves from an object that was not
visited yet to one that was is missed.

What does not work. To mark again while nothing else runs: seconds. To mark again from what changed: nobody tells what
did. To look for referrers of what was not marked: they may move as well, and C code has references that no walk sees.

What we do. The marks only propose. A reference is counted by what it refers to, so whether a *small* set of objects is
referred to from elsewhere can be told from its reference counts, without looking elsewhere: that is how the garbage
collector itself works. If G waits for the future F, then

  1. the island: what the blocked Gs that were not found alive lead to and the marks did not meet;
  2. its core: what of the island leads to F. Mostly F, a deque of waiters, the primitive, and what refers to that;
  3. in one call of C: the reference counts of the core, and what it refers to. If every count is
     explained by references out of the core and the insides of blocked Gs, nobody else has a reference to any of it,
     or can ever get one, and G is leaked. If one is not, that object is alive, with all that it leads to, and Gs with
     it.

So an error of the marks, an object that was changed or freed meanwhile, a reference in C code, in another thread's
variable, or in a cycle that is garbage but not yet collected: each makes a count unexplained, and a G not leaked. A
mark too many does the same. No false alarm follows from any of them. It is conservative: a leak may be missed.

What is in a true core does not change any more, since nobody can reach it. Hence only the core has to be
looked at in the end, however long it took to find.

The insides of a blocked G - its task, its coroutine, its frames off the carrier - need no explanation: who has a
reference to a task can cancel it, or wait for it, but not complete what it waits for. Neither do they keep anything
alive.

Weak references lead on (who has one may get at the object), but explain nothing. One from outside of the core makes its
object alive.

Invariant. When the counts are taken, nothing of ours refers to the core but the one list that is counted. So a
`Blocked` knows its future by address, and the island forgets its objects before.

Context: the scanner's G; `Core.count` in a stretch without an await.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from gc import get_referents
from operator import call
from types import AsyncGeneratorType, ModuleType
from typing import TYPE_CHECKING, Any

from preemptio._preempt import _iframe
from preemptio._scan._collector import uncollected
from preemptio._scan._graph import clock

if TYPE_CHECKING:
    from types import FrameType

    from preemptio._core._g import G
    from preemptio._core._parked import Parked
    from preemptio._core._reasons import WaitReason
    from preemptio._scan._mark import Mark
    from preemptio._scan._stack import Stack


@dataclass(slots=True, eq=False)
class Blocked:
    """A G that waits for something which may be unreachable."""

    g: G
    task: Any
    future: int  # the address of what it waits for
    awaits: Any  # that itself, if it is a task: a task ends by running, whoever refers to it
    slices: int  # of the G, when this was noted: it has not run since
    inside: list[Any] = field(default_factory=list)  # task and coroutine
    parked: Parked | None = None  # where it stands, if in preemptio.wait


@dataclass(slots=True, frozen=True)
class Leak:
    """A task that waits for something which nothing can complete any more. It refers to nothing that the task holds."""

    g: G
    """Its G, whose status is LEAKED now."""
    name: str
    """The task's name."""
    wait_reason: WaitReason
    """What it waits for."""
    age: float
    """Seconds since it last ran."""
    created_at: str
    """Where the task was created."""
    stack: Stack
    """Where it stands: text and numbers."""

    def __str__(self) -> str:
        """Describe it in a few lines."""
        return f"{self.stack}, last ran {self.age:.0f} s ago"


class Frames:
    """What the frames of a G refer to that stands off its carrier: no walk sees it, but it explains references."""

    def __init__(self, blocked: Blocked) -> None:
        """Look at this one's frames whenever asked."""
        self.blocked = blocked

    def referents(self) -> list[Any]:
        """Return what its frames' variables and its record refer to, once for each reference."""
        parked = self.blocked.parked
        if parked is None:
            return []
        found: list[Any] = [self.blocked.g._extra.waiting_on]
        if _iframe.AVAILABLE:
            frame: FrameType | None = parked.standing_on.gr_frame
            while frame is not None:
                found += [_iframe.slot(frame, index) for index in range(_variables(frame))]
                frame = frame.f_back
        return found


def _variables(frame: FrameType) -> int:
    code = frame.f_code
    cells = sum(name not in code.co_varnames for name in code.co_cellvars)
    return len(code.co_varnames) + cells + len(code.co_freevars)


class Island:
    """What suspected Gs lead to and nobody else was found to, with who refers to what."""

    def __init__(self, mark: Mark, suspects: Iterable[Blocked]) -> None:
        """Begin with the insides of the suspects."""
        self._mark = mark
        self._objects: list[Any] = []
        self._index: dict[int, int] = {}
        self._into: list[list[int]] = []  # who refers to each, by index
        self._next = 0
        for blocked in suspects:
            for thing in blocked.inside:
                self._place(thing)
            if blocked.parked is not None:
                self._place(Frames(blocked))
        self._insides = len(self._objects)

    def _place(self, thing: Any) -> int:
        index = self._index.get(id(thing))
        if index is None:
            index = self._index[id(thing)] = len(self._objects)
            self._objects.append(thing)
            self._into.append([])
        return index

    def run(self, until: float) -> bool:
        """Go on until it is complete, or it is `until` by perf_counter; report whether it is."""
        objects, index, into, mark = self._objects, self._index, self._into, self._mark
        while self._next < len(objects):
            here, self._next = self._next, self._next + 1
            for thing in leads_to(objects[here]):
                if mark.atom(type(thing)):
                    continue
                there = index.get(id(thing))
                if there is None:
                    if mark.known(thing) or issubclass(type(thing), ModuleType):  # see _graph.py
                        continue
                    there = self._place(thing)
                into[there].append(here)
            if clock() >= until:
                return False
        return True

    def core(self, futures: Iterable[int]) -> list[Any]:
        """Return what of it leads to the futures, and the insides of the suspects. It is empty afterwards."""
        todo = [self._index[future] for future in futures if future in self._index]
        found = set(todo)
        while todo:
            here = todo.pop()
            if here < self._insides:
                continue
            for source in self._into[here]:
                if source not in found:
                    found.add(source)
                    todo.append(source)
        found.update(range(self._insides))
        objects = [self._objects[each] for each in sorted(found)]
        self._objects.clear()  # in place: a tracer may keep a frame that has the list
        self._index, self._into, self._next = {}, [], 0
        return objects


def leads_to(thing: Any) -> list[Any]:
    """Return what an object leads to: what it refers to, strongly or weakly."""
    if type(thing) is Frames:
        return thing.referents()
    found = get_referents(thing)
    referent = behind(thing)
    if referent is not None:
        found.append(referent)
    return found


def behind(thing: Any) -> Any:
    """Return what a weak reference refers to; None for anything else."""
    return weakref.ref.__call__(thing) if issubclass(type(thing), weakref.ref) else None


def counts_and_referents(things: list[Any]) -> tuple[list[int], list[list[Any]]]:
    """Return reference counts, and what each refers to, of one moment: no thread and no finalizer comes in between.

    C code gives the GIL up between two instructions of a Python function, and there is none inside of this one call.
    """
    counted: Callable[[], Any] = partial(list, map(sys.getrefcount, things))
    referred: Callable[[], Any] = partial(list, map(get_referents, things))
    with uncollected():  # on 3.11 it would run in the middle
        counts, referents = map(call, (counted, referred))
    return counts, referents


OURS: int = counts_and_referents([object()])[0][0]
"""What the count of an object has for our list, and for being asked."""


class Core:
    """What has to be unreachable for the suspects to be leaked, counted at one moment."""

    def __init__(self, things: list[Any], suspects: Iterable[Blocked], still: Callable[[Blocked], bool]) -> None:
        """Take over a list to which nobody else refers, nor to what is in it. `still`: whether one is still blocked."""
        self._things = things
        self._frames = [(index, thing) for index, thing in enumerate(things) if type(thing) is Frames]
        self._suspects = list(suspects)
        self._still = still
        self._gone: list[Blocked] = []  # suspects that have run meanwhile
        self._at = {id(thing): index for index, thing in enumerate(things)}
        self._counts: list[int] = []
        self._out: list[list[Any]] = []
        self._spread = _Spread([], set())
        self.leaked: list[Blocked] = []  # those that nothing can wake, once it is settled

    def __len__(self) -> int:
        """Return how many objects are counted."""
        return len(self._things)

    def count(self) -> None:
        """Count, while nothing else of the loop runs. What is done here is done in a pause: the rest is `settle`'s."""
        self._counts, self._out = counts_and_referents(self._things)
        for index, frames in self._frames:
            if self._still(frames.blocked):
                self._out[index] = frames.referents()

    def settle(self) -> Iterator[None]:
        """Find out what the counts say, with a pause here and there; then `leaked` is known.

        What is blocked by now, and has not run since it was noted, was blocked when it was counted; what is not counts
        as alive.
        """
        suspects, self._suspects = self._suspects, []
        for blocked in suspects:
            (self._suspects if self._still(blocked) else self._gone).append(blocked)
            yield
        at = self._at
        leads: list[list[int]] = []
        explained = [0] * len(self._things)
        for out in self._out:
            strong = [at[id(each)] for each in out if id(each) in at]
            for there in strong:
                explained[there] += 1
            leads.append(strong)
            yield
        self._out = []
        for index, thing in enumerate(self._things):
            referent = behind(thing)
            if referent is not None and id(referent) in at:
                leads[index].append(at[id(referent)])
            del referent
        closed = {each for blocked in self._suspects for each in self._insides(blocked)}
        self._spread = _Spread(leads, closed)
        for blocked in self._gone:
            self._spread.run(self._insides(blocked))
        for index, thing in enumerate(self._things):
            if index not in closed and type(thing) is not Frames:
                if self._counts[index] - OURS != explained[index] or self._weakly(thing):
                    self._spread.run([index])
            yield
        self.leaked = self._suspects
        self._wake()

    def _weakly(self, thing: Any) -> bool:
        """Report whether something outside refers to it weakly. A loop does so to async generators, to no effect."""
        if type(thing) is AsyncGeneratorType:
            return False
        return any(id(each) not in self._at for each in weakref.getweakrefs(thing))

    def release(self, saved: Iterable[Blocked]) -> None:
        """Let these live after all, when it is settled."""
        gone = set(saved)
        for blocked in gone:
            self._spread.open(self._insides(blocked))
        self.leaked = [blocked for blocked in self.leaked if blocked not in gone]
        self._wake()

    def forget(self) -> None:
        """Refer to nothing any more."""
        self._things.clear()
        self._out, self._frames, self._suspects, self._gone, self.leaked = [], [], [], [], []

    def _insides(self, blocked: Blocked) -> list[int]:
        """Return where the insides of a G are: the frames, if there are any, follow its coroutine."""
        found = [self._at[id(thing)] for thing in blocked.inside]
        if blocked.parked is not None:
            found.append(found[-1] + 1)
        return found

    def _wake(self) -> None:
        """Let those live that what is alive can wake, until nobody is left whom that concerns."""
        while True:
            tasks = {id(blocked.task) for blocked in self.leaked}
            woken = {blocked for blocked in self.leaked if self._wakes(blocked, tasks, self._spread.alive)}
            if not woken:
                return
            for blocked in woken:
                self._spread.open(self._insides(blocked))
            self.leaked = [blocked for blocked in self.leaked if blocked not in woken]

    def _wakes(self, blocked: Blocked, tasks: set[int], alive: set[int]) -> bool:
        if blocked.awaits is not None:
            return id(blocked.awaits) not in tasks
        return self._at.get(blocked.future, -1) in alive or blocked.future not in self._at


class _Spread:
    """Life, as it spreads: from what is alive to what that leads to, but not through the insides of blocked Gs."""

    def __init__(self, leads: list[list[int]], closed: set[int]) -> None:
        self._leads = leads
        self._closed = closed
        self.alive: set[int] = set()

    def open(self, insides: list[int]) -> None:
        """Let a G live."""
        self._closed.difference_update(insides)
        self.alive.difference_update(insides)
        self.run(insides)

    def run(self, found: Iterable[int]) -> None:
        """Let these live."""
        todo = list(found)
        while todo:
            here = todo.pop()
            if here not in self.alive:
                self.alive.add(here)
                if here not in self._closed:
                    todo += self._leads[here]
