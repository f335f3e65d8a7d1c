"""Looking at Gs and loops: `all_gs`, `counters`. No registry of our own: asyncio knows its tasks, a task its G.

Context: any thread; the answer is a snapshot.
"""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import Any, Final
from weakref import WeakSet

from preemptio._aio._steps import adopt
from preemptio._core._current import current_processor
from preemptio._core._g import G
from preemptio._core._refusals import Counters
from preemptio._errors import NotInstalledError

LOOPS: Final[WeakSet[Any]] = WeakSet()
"""Every loop with the runtime."""


def gs_of(loop: asyncio.AbstractEventLoop) -> list[G]:
    """Return the Gs of a loop, oldest first, and make none: the loop may be about to, in its own thread."""
    found = (getattr(task, "g", None) for task in asyncio.all_tasks(loop))
    return sorted((g for g in found if isinstance(g, G)), key=lambda g: g.id)


def all_gs(loop: asyncio.AbstractEventLoop | None = None) -> list[G]:
    """Return the Gs of one loop, or of every preemptio loop, that are not dead, oldest first.

    Example:
        >>> import preemptio
        >>> from preemptio.lowlevel import all_gs
        >>> async def main():
        ...     return [g.name for g in all_gs()]
        >>> preemptio.run(main())
        ['Task-...']
    """
    loops = [loop] if loop is not None else list(LOOPS)
    tasks: list[object] = [task for one in loops for task in asyncio.all_tasks(one)]
    # A foreign task type is not a G.
    return sorted((adopt(task) for task in tasks if isinstance(task, asyncio.Task)), key=lambda g: g.id)


def counters(loop: asyncio.AbstractEventLoop | None = None) -> Counters:
    """Return what was counted on a loop since it was made: refusals by verdict, preemptions by kind.

    Args:
        loop: by default the loop that runs in this thread.

    Returns:
        Counters: a frozen copy. The counts are never reset: the difference of two is what happened in between.

    Raises:
        NotInstalledError: no loop runs in this thread, or the loop has no runtime.

    Context: any thread, if `loop` is given.

    Example:
        >>> import preemptio
        >>> from preemptio import lowlevel
        >>> async def main():
        ...     return lowlevel.counters()
        >>> preemptio.run(main())
        Counters(refusals=..., preemptions=...)
    """
    p = current_processor()
    found: Any = loop if loop is not None else p and p.host
    ticker = getattr(found, "_ticker", None)
    if ticker is None:
        msg = "counters() needs a loop of preemptio: call it in a program started by preemptio.run(main())"
        raise NotInstalledError(msg)
    return Counters(MappingProxyType(dict(ticker.refusals)), MappingProxyType(dict(found._p.preemptions)))
