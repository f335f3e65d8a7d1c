"""scan.retained and scan.path_to: what Gs keep alive, and who keeps an object alive. The loop's side of both.

Every G is a job, whatever it does: here nobody is hidden but the scanner. What tasks and coroutines hold is taken as
their roots, variable by variable, and is not walked through from elsewhere: a list of tasks in main would otherwise
own all that those hold.

Context: the scanner's G.
"""

from __future__ import annotations

import asyncio
from functools import partial
from gc import get_referents
from typing import TYPE_CHECKING, Any, Final

from preemptio._aio._cancels import chain
from preemptio._aio._inspect import all_gs
from preemptio._aio._roots import shared_roots
from preemptio._aio._scan import Scan, scan
from preemptio._core._gstatus import DEAD
from preemptio._scan._paths import Path, Trail
from preemptio._scan._retained import Colours, Held, Retention, Summary
from preemptio._scan._root import Root
from preemptio._scan._roots import roots_of

if TYPE_CHECKING:
    from preemptio._core._g import G

ROUNDS: Final = 4
"""How often the Gs that ran meanwhile are walked from again, if they are too many for the last look."""

CHANGED: Final = 16
"""Gs that are looked at in the last look: 0.1 to 0.2 ms each, in which nothing else runs."""


class Retaining:
    """The colouring of one heap."""

    def __init__(self, scan: Scan) -> None:
        """Hide what is the scan's, and what is counted as the Gs' own."""
        self.scan = scan
        self.colours = Colours()
        self.numbers: dict[G, int] = {}
        self.held: dict[G, dict[str, Held]] = {}
        self.colours.hide([*scan.own(), self, self.__dict__, self.colours, self.colours.__dict__])

    def _number(self, g: G) -> None:
        if g.task is not None and g not in self.numbers:
            self.numbers[g] = len(self.numbers) + 1
            self.held[g] = {}
            self.colours.hide([g, g._extra, g.task, *chain(g.task)])

    async def run(self) -> Retention:
        """Find what every G keeps alive."""
        scan = self.scan
        try:
            for g in scan.gs:
                self._number(g)
                await scan.give_way()
            self.colours.own(0)
            for root in shared_roots(scan.loop):
                self.colours.add([root.obj])
                await scan.give_way()
            await scan.through(self.colours)
            for g in list(self.numbers):
                await self._job(g)
            await self._look_again()
            summary = Summary(self.colours, self.numbers)
            for _ in summary.steps(self.held):
                await scan.give_way()
            return summary.retention()
        finally:
            self.colours.forget()

    async def _look_again(self) -> None:
        """Look at those again that have run since, or are new, until few are left; at these at one moment.

        Where many run all the time they never become few: then some stay as they were when they were last looked at.
        """
        scan, last = self.scan, []
        await scan.missed(scan.looked_at)
        with scan.watch() as ran:
            ran.update(dict.fromkeys(await scan.ran_since(scan.now())))
            for _ in range(ROUNDS):
                if len(ran) <= CHANGED:
                    break
                again = list(ran)
                ran.clear()
                for g in again:
                    if g is not scan.me:
                        self._number(g)
                        scan.looked_at.pop(g, None)
                        await self._job(g)
            async with scan.moment():
                for g in [g for g in ran if g is not scan.me and g.status is not DEAD][:CHANGED]:
                    self._number(g)
                    if g.task is not None:
                        last.append((g, self._roots(g.task)))
        for g, roots in last:
            await self._walk(g, roots)

    async def _job(self, g: G) -> None:
        taken: list[Root] = []
        await self.scan.job(g, lambda task, _: taken.extend(self._roots(task)))
        if taken:
            await self._walk(g, taken)

    def _roots(self, task: Any) -> list[Root]:
        inside = {id(each) for each in chain(task)}
        found = list(roots_of(task.g))
        found += [Root(each, "the task itself", True) for each in get_referents(task) if id(each) not in inside]
        found += [Root(each, "its coroutines", True) for each in get_referents(*chain(task)) if id(each) not in inside]
        return found

    async def _walk(self, g: G, roots: list[Root]) -> None:
        """Walk from each root by itself: what it meets first is its own."""
        colours, held = self.colours, self.held[g]
        colour = colours.own(self.numbers[g])
        task = g.task
        if task is not None and not held:
            for each in (task, *chain(task)):
                colours.count(each)
        for obj, name, _ in roots:
            before = colours.objects[colour], colours.bytes[colour]
            colours.add([obj])
            await self.scan.through(colours)
            objects, size = colours.objects[colour] - before[0], colours.bytes[colour] - before[1]
            known = held.get(name, Held(name, 0, 0))
            held[name] = Held(name, known.objects + objects, known.size + size)
        roots.clear()


async def retained(*, background: bool = True) -> Retention:
    """Tell what each task of the running loop keeps alive: what it alone does, and what it shares with which others.

    The program runs on meanwhile, so this is an approximation: what was dropped since the scan began still counts.
    Objects that globals, timers or other threads reach are the program's, and are no task's. Sizes are those of
    `sys.getsizeof`, with exceptions for numpy, pandas, torch, mmap and ctypes, and what `register_size` adds.

    Args:
        background: scan only while nothing else wants to run. False: as a task among the others, for a loop that is
            never idle.

    Returns:
        Retention: frozen; it keeps nothing alive. Print it, or look at `.tasks` and `.of(task)`.

    Raises:
        NotAGError: the caller is not in a task of a preemptio loop.

    Context: in a task. It runs in slices of half a millisecond; some four seconds for a million objects.

    Example:
        >>> import asyncio, preemptio
        >>> from preemptio import scan
        >>> async def worker():
        ...     rows = [bytearray(1000) for _ in range(1000)]
        ...     await asyncio.sleep(60)
        >>> async def main():
        ...     task = asyncio.create_task(worker())
        ...     await asyncio.sleep(0)
        ...     report = await scan.retained()
        ...     task.cancel()
        ...     return report.of(task).size > 1_000_000
        >>> preemptio.run(main())
        True
    """
    return await scan(lambda each: Retaining(each).run(), "retained", background=background)


TRIES: Final = 3
"""How often a chain is looked for that breaks while it is followed."""


def _start(trail: Trail, g: G, but: int, _task: object, roots: list[Root]) -> None:
    trail.start(g, roots, but)


async def _find(scan: Scan, box: list[Any], caller: G | None) -> Path | None:
    for _ in range(TRIES):
        trail = Trail(id(box[0]))
        try:
            trail.hide([*scan.own(), box, trail, trail.__dict__])
            for g in all_gs(scan.loop):
                if g.task is not None:
                    trail.hide([g, g._extra, g.task, *chain(g.task)])
            scan.looked_at.clear()
            for g in scan.gs:
                but = id(box[0]) if g is caller else 0
                await scan.job(g, partial(_start, trail, g, but))
            trail.start(None, shared_roots(scan.loop))
            await scan.through(trail)
            if not trail.found:
                return None
            found = trail.path()
            if found is not None:
                return found
        finally:
            trail.forget()
    return None


async def path_to(obj: object, *, background: bool = True) -> Path | None:
    """Tell what keeps an object alive: a shortest chain of references to it, from a task's variable or a global.

    The caller's own variables that are the object do not count.

    Args:
        obj: the object.
        background: as of `retained`.

    Returns:
        Path: the chain; print it, or look at `.g` and `.links`. It keeps nothing alive. None if nothing was found: only
        C code refers to it, or the caller alone.

    Raises:
        NotAGError: the caller is not in a task of a preemptio loop.

    Context: in a task. In slices, as `retained`.

    Example:
        >>> import asyncio, preemptio
        >>> from preemptio import scan
        >>> class Row: pass
        >>> async def worker(cache):
        ...     await asyncio.sleep(60)
        >>> async def main():
        ...     row = Row()
        ...     task = asyncio.create_task(worker({"first": [row]}), name="worker")
        ...     await asyncio.sleep(0)
        ...     path = await scan.path_to(row)
        ...     task.cancel()
        ...     return path.g.name, path.links[-1].how
        >>> preemptio.run(main())
        ('worker', '[0]')
    """
    box: list[Any] = [obj]
    del obj
    me: Any = asyncio.current_task()
    caller: G | None = getattr(me, "g", None)
    del me
    return await scan(lambda each: _find(each, box, caller), "path_to", background=background)
