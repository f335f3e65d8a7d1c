"""Looking at Gs: `all_gs`. No registry of our own: asyncio knows its tasks, and a task knows its G.

Context: any thread; the answer is a snapshot.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final
from weakref import WeakSet

from preemptio._aio._steps import adopt
from preemptio._core._g import G

LOOPS: Final[WeakSet[Any]] = WeakSet()
"""Every loop with the runtime."""


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
