"""scan.leaks: the blocked Gs that nothing can wake. The loop's side of it; the proof is in `_scan/_leaks.py`.

What is blocked, and on what, is asyncio's matter: the future that a task awaits, or that a G stands for in
`preemptio.wait`. Everything else about a primitive - a lock, a queue, a stream - is in the heap: whoever can reach it
can reach the future behind it, by its waiters. So there is no list of primitives, and one of a library's is as good as
asyncio's.

A G that is not blocked is alive, and so is the one that somebody runs the loop for (main): Ctrl-C ends it. Being
awaited by a G that is alive keeps nobody alive; a cancellation that is arranged does, see `_cancels.py`.

Invariant. LEAKED is written here only, with no await between the last look at a G and the write. At the beginning of a
scan it is taken back; what wakes such a G after all - somebody cancels it - takes it back as well (`_core/_step.py`).

Context: the scanner's G.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from gc import get_referents
from types import MethodType
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from preemptio._aio._cancels import Cancels, awaited_in_asyncio, chain, handles, is_main, of_a_thread
from preemptio._aio._roots import shared_roots
from preemptio._aio._scan import Scan, scan
from preemptio._core._gstatus import LEAKED, WAITING, cas_gstatus
from preemptio._log import report_leak
from preemptio._scan._classes import attribute, is_a
from preemptio._scan._leaks import Blocked, Core, Island, Leak
from preemptio._scan._mark import Mark
from preemptio._scan._stack import stack_of

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._scan._root import Root


_told: Final[WeakSet[G]] = WeakSet()
"""The leaked Gs that the user was told of."""


def waits_for(g: G) -> Any:
    """Return the future that a G is blocked on; None if it is not blocked, or about to be woken."""
    task, extra = g.task, g._extra
    if task is None or g.status.base not in (WAITING, LEAKED) or task.done():
        return None
    if (extra.hold is not None and extra.hold.deferred) or attribute(task.get_coro(), "cr_running"):
        if g.parked is None:
            return None
    if extra.parked is not None and extra.parked.throw is not None:
        return None
    future = task._fut_waiter if extra.parked is None else extra.waiting_on
    if not is_a(future, asyncio.Future) or asyncio.Future.done(future):
        return None
    return future


def blocked(g: G) -> Blocked | None:
    """Return what is to be known of a G that may be leaked; None if it surely is not."""
    future = waits_for(g)
    if future is None:
        return None
    task: Any = g.task
    if is_main(task):
        return None
    awaits = future if is_a(future, asyncio.Task) else None
    return Blocked(g, task, id(future), awaits, g.slices, [task, task.get_coro()], g._extra.parked)


def still(blocked: Blocked) -> bool:
    """Report whether a G is as it was noted."""
    future = waits_for(blocked.g)
    return future is not None and id(future) == blocked.future and blocked.g.slices == blocked.slices


class LeakScan:
    """The search for leaks."""

    def __init__(self, scan: Scan) -> None:
        """Start with nothing known."""
        self.scan = scan
        self.mark = Mark(weak=True)
        self.mark.special(asyncio.Future, self._future)
        self.mark.special(concurrent.futures.Future, self._concurrent)
        self.cancels = Cancels(scan.loop, self._cancelled)
        self.suspects: dict[int, Blocked] = {}  # by id of the task
        self._saved: set[int] = set()  # ids of tasks that are about to be cancelled
        self.mark.hide([*scan.own(), self, self.__dict__, self.mark, self.cancels])

    async def run(self) -> list[Leak]:
        """Find the leaks."""
        scan, mark = self.scan, self.mark
        try:
            for g in scan.gs:
                self._suspect(g)
                await scan.give_way()
            await self._arranged()
            for root in shared_roots(scan.loop):
                mark.add([root.obj])
                await scan.give_way()
            await scan.through(mark)
            for g in scan.gs:
                if g.task is not None and id(g.task) not in self.suspects:
                    await self._live(g)
            await scan.through(mark)
            while await self._wake():
                await scan.through(mark)
            return await self._leaked()
        finally:
            mark.forget()  # whoever keeps this frame, as a trace function may, must not keep the heap

    async def _wake(self) -> bool:
        """Let those live that can be woken by what was found so far; report whether there were any."""
        awake = []
        for each in list(self.suspects.values()):
            if self._may_run(each):
                del self.suspects[id(each.task)]
                awake.append(each.g)
            await self.scan.give_way()
        for g in awake:
            await self._live(g)
        return bool(awake)

    def _suspect(self, g: G) -> None:
        """Note whether a G is blocked; then hide what only leads back to that."""
        if g.status is LEAKED:
            cas_gstatus(g, LEAKED, WAITING)
        found = blocked(g)
        if found is not None:
            self.suspects[id(found.task)] = found
            self.mark.hide([*found.inside, g, g._extra, *([found.parked] if found.parked else [])])

    async def _leaked(self) -> list[Leak]:
        """Prove of the suspects that they are leaked."""
        suspects = list(self.suspects.values())
        island = Island(self.mark, suspects)
        await self.scan.through(island)
        core = Core(island.core(each.future for each in suspects), suspects, still)
        try:
            await self.scan.missed({*self.scan.looked_at, *(each.g for each in suspects)})
            async with self.scan.moment():
                core.count()
            await self._arranged()
            for _ in core.settle():
                await self.scan.give_way()
            while saved := self._saved_by(core.leaked):
                core.release(saved)
            found = []
            for each in core.leaked:
                if still(each):
                    found.append(_leak(each))
                    self._tell(found[-1])
                await self.scan.give_way()
            return found
        finally:
            core.forget()

    def _tell(self, leak: Leak) -> None:
        """Have a leak reported, from the loop, the first time that it is found."""
        if leak.g not in _told:
            _told.add(leak.g)
            self.scan.loop.post(report_leak, leak.g, str(leak.wait_reason), leak.age, str(leak.stack))

    def _saved_by(self, leaked: list[Blocked]) -> list[Blocked]:
        """Return those that are about to be cancelled, by a suspect that turned out to be alive for instance."""
        left = {id(each.task) for each in leaked}
        for each in [each for each in self.suspects.values() if id(each.task) not in left]:
            del self.suspects[id(each.task)]
            self._ends(each.task)
        return [each for each in leaked if self._is_saved(each.task)]

    def _ends(self, task: Any) -> None:
        """Look at whom a task that may run would cancel, at its end or when it is cancelled."""
        self.cancels.future(task)
        for each in awaited_in_asyncio(task):
            self.cancels.cancels(each)

    async def _arranged(self) -> None:
        """Look for cancellations that are arranged."""
        for handle in handles(self.scan.loop):
            self.cancels.handle(handle)
            await self.scan.give_way()

    async def _live(self, g: G) -> None:
        await self.scan.job(g, self._take)

    def _take(self, task: Any, roots: list[Root]) -> None:
        """Walk on from a G that may run, and from what it does when it ends or is cancelled."""
        self.mark.add([root.obj for root in roots])
        self.mark.add(get_referents(task, *chain(task)))
        self._ends(task)

    def _future(self, future: Any) -> None:
        """Take in a future that was met: what it will call may cancel somebody."""
        self.mark.plain(future)
        self.cancels.future(future)

    def _concurrent(self, future: Any) -> None:
        """Take in a future of a thread that was met."""
        self.mark.plain(future)
        self.cancels.concurrent(future)

    def _cancelled(self, task: Any) -> None:
        self._saved.add(id(task))

    def _may_run(self, each: Blocked) -> bool:
        """Report whether something possibly runnable can wake it."""
        future = waits_for(each.g)
        if future is None or id(future) != each.future or each.g.slices != each.slices:
            return True
        if self._is_saved(each.task):
            return True
        return id(future) not in self.suspects if each.awaits is not None else self.mark.met(future)

    def _is_saved(self, task: Any) -> bool:
        """Report whether its cancellation is arranged."""
        return id(task) in self._saved or self._in_the_body(task) or of_a_thread(task)

    def _in_the_body(self, task: Any) -> bool:
        """Report whether it is in a TaskGroup whose parent may raise in the body or be cancelled, which cancels it."""
        for callback in task._callbacks or ():
            group = callback[0].__self__ if type(callback[0]) is MethodType else None
            if is_a(group, asyncio.TaskGroup):
                parent: Any = group._parent_task  # type: ignore[attr-defined]
                ending = group._on_completed_fut  # type: ignore[attr-defined]
                if parent is None or parent.done() or id(parent) in self.suspects:
                    continue
                if ending is None or parent._fut_waiter is not ending or id(parent) in self._saved:
                    return True
        return False


def _leak(blocked: Blocked) -> Leak:
    g = blocked.g
    age = max(0.0, time.monotonic() - g.last_run)
    if g.status is WAITING:  # else somebody holds it, and it stays what it was
        cas_gstatus(g, WAITING, LEAKED)
    return Leak(g, str(blocked.task.get_name()), g.wait_reason, age, g.created_at, stack_of(g))


async def leaks(*, background: bool = True) -> list[Leak]:
    """Find the tasks that wait for what nothing can complete any more.

    A task is leaked if no other task that may still run, no timer, no I/O registration, no global and no thread can
    reach the lock, event, queue, stream or future that it waits for. Those get the status LEAKED. Nothing is done to
    them: they can be cancelled like any other.

    It never reports a task that will be woken. It may miss one: what a global refers to may be used, for all that is
    known, and so may garbage that was not collected yet. A cancellation counts if it is arranged: by a timer, a
    timeout, a task group. That somebody has a reference to the task and could cancel it does not.

    Args:
        background: scan only while nothing else wants to run. False: as a task among the others, for a loop that is
            never idle.

    Returns:
        list[Leak]: in the order in which they were created. Print them. They keep nothing alive.

    Raises:
        NotAGError: the caller is not in a task of a preemptio loop.

    Context: in a task. It runs in slices of half a millisecond; some two seconds for a million objects.

    Source: mgc.go, findGoroutineLeaks.

    Example:
        >>> import asyncio, preemptio
        >>> from preemptio import scan
        >>> async def consumer(queue):
        ...     await queue.get()
        >>> async def main():
        ...     task = asyncio.create_task(consumer(asyncio.Queue()), name="orphan")
        ...     await asyncio.sleep(0)
        ...     for leak in await scan.leaks():
        ...         print(leak.name, leak.wait_reason, leak.g.status)
        ...     task.cancel()
        >>> preemptio.run(main())
        orphan queue get leaked
    """
    return await scan(lambda each: LeakScan(each).run(), "leaks", background=background)
