"""stop_the_world: every G but one at a safe point, for what has to see all of them at the same moment.

Problem. A dump of all Gs, or the end of a scan, must not see one G before and another after something happened
between the two.

What we do. All Gs are suspended, as one by one `suspend_g` would; most do not run, so that takes no time. What is born
meanwhile - a callback may create a task - is held before its first step. Callbacks, timers and I/O go on: they are no
Gs, and whoever has stopped the world may await. It must not await what a G has to do.

One at a time. Who stops the world while it is stopped waits for its turn, in order; by the same task it is one stop.

Two times are recorded, by reason, as Go does: until the last G stood ("stopping"), and until they all went on
("total"). The first says how well Gs can be stopped, the second what it cost the program.

Context: inside a task, in the loop's thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from preemptio._aio import _steps
from preemptio._aio._inspect import all_gs
from preemptio._aio._runtime import RuntimeLoop
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
        self._loop = loop
        self._turn = asyncio.Lock()  # first come, first served
        self.owner: G | None = None  # who has stopped it
        self._held: list[tuple[G, Hold | None]] = []
        self.pauses: dict[str, Pauses] = {}

    @asynccontextmanager
    async def stop(self, me: G, reason: str) -> AsyncIterator[None]:
        """Stop every G but `me`."""
        async with self._turn:
            start = time.perf_counter()
            instruments = self._loop._p.instruments
            self.owner = me
            self._loop._p.born = self._born
            _steps.stopped_worlds.add(self._loop)
            try:
                await self._stop_others(me)
                stopped = time.perf_counter()
                instruments.tell(instruments.world_stopped, reason, stopped - start)
                yield
            finally:
                self.owner = self._loop._p.born = None
                _steps.stopped_worlds.discard(self._loop)
                held, self._held = self._held, []
                for g, hold in held:
                    self._loop._suspends.let_go(g, hold)
            total = time.perf_counter() - start
            self.pauses.setdefault(reason, Pauses()).add(stopped - start, total)
            instruments.tell(instruments.world_started, reason, total)

    async def _stop_others(self, me: G) -> None:
        suspends = self._loop._suspends
        late = []
        p, runs = self._loop._p, self._loop.runs
        with nopreempt("stopping the world"):  # a search for a safe point would find none here
            for g in all_gs(self._loop):  # type: ignore[arg-type]
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
                await granted(self._loop, late[-1], None)
                request = late.pop()
                self._held.append((request.g, request.hold))
        finally:
            for request in late[:-1]:  # the last was withdrawn by the wait for it
                if not request.decide():
                    suspends.let_go(request.g, request.hold)

    def _born(self, g: G) -> None:
        """Hold a new G, whose first step is about to be queued."""
        hold = claim(self._loop._p, g)
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
    if world.owner is me:
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
