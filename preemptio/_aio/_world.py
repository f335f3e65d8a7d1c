"""stop_the_world: every G but one at a safe point, for what has to see all of them at the same moment.

Problem. A dump of all Gs, or the end of a scan, must not see one G before and another after something happened
between the two.

What we do. All Gs are suspended, as one by one `suspend_g` would; most do not run, so that takes no time. What is born
meanwhile - a callback may create a task - is held before its first step. Callbacks, timers and I/O go on: they are no
Gs, and whoever has stopped the world may await. It must not await what a G has to do.

Nobody else may have a world that stays stopped: a stop ends with the task that asked for it, and with the loop. Where
that task waits for one that it holds, and is cancelled, that one is let go: see `_shares.py`.

One at a time. Who stops the world while it is stopped waits for its turn, in order; by the same task it is one stop.

Two times are recorded, by reason, as Go does: until the last G stood ("stopping"), and until they all went on
("total"). The first says how well Gs can be stopped, the second what it cost the program.

Context: inside a task, in the loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Container, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from preemptio._aio import _steps
from preemptio._aio._inspect import all_gs
from preemptio._aio._runtime import RuntimeLoop
from preemptio._aio._shares import shares_of
from preemptio._aio._suspend import granted
from preemptio._core._current import current_g
from preemptio._core._hold import Hold, claim
from preemptio._core._mask import nopreempt
from preemptio._core._pauses import Pauses
from preemptio._errors import NotAGError, NotInstalledError
from preemptio._preempt._suspend import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from preemptio._core._g import G
    from preemptio._core._reasons import PauseReason


class World:
    """What a loop knows of its stops."""

    def __init__(self, loop: RuntimeLoop) -> None:
        """Start with a world that runs."""
        self.loop = loop
        self.turn = asyncio.Lock()  # first come, first served
        self.stopped: Stop | None = None
        self.pauses: dict[str, Pauses] = {}

    @asynccontextmanager
    async def stop(self, me: G, reason: str) -> AsyncIterator[None]:
        """Stop every G but `me`."""
        await self.turn.acquire()
        stop = self.stopped = Stop(self, me, reason)
        try:
            await stop.begin()
            yield
        finally:
            stop.end()

    def end(self) -> None:
        """End the stop, if there is one, whoever it is for."""
        if self.stopped is not None:
            self.stopped.end()


class Stop:
    """One stop: it has the turn."""

    def __init__(self, world: World, me: G, reason: str) -> None:
        """Hold nobody yet."""
        self.me = me
        self._world = world
        self._reason = reason
        self._held: list[tuple[G, Hold | None]] = []
        self._shares = shares_of(me.task)
        self._start = time.perf_counter()
        self._stopping = 0.0  # seconds until the last one stood

    async def begin(self) -> None:
        """Stop every G but the owner's, who may be cancelled, or end, before he says that it is over."""
        loop = self._world.loop
        loop._p.born = self._born
        _steps.held_back.add(loop)
        self._shares.stop = self
        await self._stop_others()
        self._stopping = time.perf_counter() - self._start
        instruments = loop._p.instruments
        instruments.tell(instruments.world_stopped, self._reason, self._stopping)

    def end(self) -> None:
        """Let them go on. Once: afterwards another may have stopped the world."""
        world = self._world
        if world.stopped is not self:
            return
        world.stopped = world.loop._p.born = None
        _steps.held_back.discard(world.loop)
        self.let_go(None)
        self._shares.stop = None
        total = time.perf_counter() - self._start
        if self._stopping:
            world.pauses.setdefault(self._reason, Pauses()).add(self._stopping, total)
            instruments = world.loop._p.instruments
            instruments.tell(instruments.world_started, self._reason, total)
        world.turn.release()

    def held(self) -> Iterable[G]:
        """Return whom it holds."""
        return (g for g, _ in self._held)

    def let_go(self, gs: Container[G] | None) -> list[G]:
        """Let these go on, or all of them; return who they were."""
        held, self._held = self._held, []
        gone = []
        for g, hold in held:
            if gs is None or g in gs:
                self._world.loop._suspends.let_go(g, hold)
                gone.append(g)
            else:
                self._held.append((g, hold))
        return gone

    async def _stop_others(self) -> None:
        loop, me = self._world.loop, self.me
        p, suspends, runs = loop._p, loop._suspends, loop.runs
        late = []
        with nopreempt("stopping the world"):  # a search for a safe point would find none here
            for g in all_gs(loop):  # type: ignore[arg-type]
                if g is me:
                    continue
                hold = None if runs(g) else claim(p, g)
                if hold is not None:
                    self._held.append((g, hold))
                    continue
                request = Request(g, me)
                if suspends.ask(request):
                    self._held.append((g, request.hold))
                else:
                    late.append(request)
        try:
            while late:
                await granted(loop, late[-1], None)
                request = late.pop()
                self._held.append((request.g, request.hold))
        finally:
            for request in late[:-1]:  # the last was withdrawn by the wait for it
                if not request.decide():
                    suspends.let_go(request.g, request.hold)

    def _born(self, g: G) -> None:
        """Hold a new G, whose first step is about to be queued."""
        hold = claim(self._world.loop._p, g)
        if hold is not None:
            self._held.append((g, hold))


@asynccontextmanager
async def stop_the_world(reason: str | PauseReason) -> AsyncIterator[None]:
    """Hold every G of the loop but the caller's for the length of an `async with`.

    The body may await what callbacks, timers and I/O do, but not what another task has to do: that one is held. Tasks
    that are started meanwhile begin afterwards. One stop at a time: others wait for their turn.

    Args:
        reason: why, in a few words out of a small set: `preemptio.lowlevel.pauses()` counts by it.

    Raises:
        NotAGError: the caller is not in a task of a preemptio loop.

    Source: proc.go, stopTheWorld.

    Example:
        >>> import asyncio, preemptio
        >>> from preemptio.lowlevel import all_gs, pauses
        >>> async def main():
        ...     task = asyncio.create_task(asyncio.sleep(60))
        ...     async with preemptio.stop_the_world("audit"):
        ...         print(sorted(str(g.status) for g in all_gs()))
        ...     task.cancel()
        ...     print(pauses()["audit"].count)
        >>> preemptio.run(main())
        ['runnable (scan)', 'running']
        1
    """
    loop, me = asyncio.get_running_loop(), current_g()
    if not isinstance(loop, RuntimeLoop) or me is None:
        msg = "stop_the_world() works inside a task of a preemptio loop only: start it with preemptio.run(main())"
        raise NotAGError(msg)
    world = world_of(loop)
    if world.stopped is not None and world.stopped.me is me:
        yield
        return
    async with world.stop(me, str(reason)):
        yield


def world_of(loop: RuntimeLoop) -> World:
    """Return the World of a loop, making it at the first question."""
    world: World | None = loop._world
    if world is None:
        world = loop._world = World(loop)
    return world


def pauses(loop: asyncio.AbstractEventLoop | None = None) -> Mapping[str, Pauses]:
    """Return how often and for how long `stop_the_world` stopped the Gs of a loop, by reason.

    Args:
        loop: by default the loop that runs in this thread.

    Raises:
        NotInstalledError: no loop runs in this thread, or the loop has no runtime.

    Context: any thread, if `loop` is given.

    Example:
        >>> import preemptio
        >>> from preemptio.lowlevel import pauses
        >>> async def main():
        ...     async with preemptio.stop_the_world("audit"):
        ...         pass
        ...     return pauses()["audit"]
        >>> preemptio.run(main())
        Pauses(count=1, stopping=..., stopping_max=..., total=..., total_max=...)
    """
    found: Any = loop if loop is not None else asyncio._get_running_loop()
    if not isinstance(found, RuntimeLoop):
        msg = "pauses() needs a loop of preemptio: call it in a program started by preemptio.run(main())"
        raise NotInstalledError(msg)
    world: World | None = found._world  # not made here: this may be another thread
    return {} if world is None else {reason: each.copy() for reason, each in dict(world.pauses).items()}
