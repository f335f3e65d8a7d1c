"""asyncio's current task, swapped while a step is parked.

asyncio keeps one current task per loop and sets it for the length of a step. A parked step is still in the middle of
its own, so it must be taken out, and be put back before it goes on: with eager tasks it may be an inner one. The
private functions used here are what asyncio's own Python tasks call.

Context: `take` on the carrier that is about to be left, `put` in the hub.
"""

from __future__ import annotations

import asyncio
from typing import Any

_tasks: Any = asyncio.tasks

if hasattr(_tasks, "_swap_current_task"):  # 3.12+

    def take(loop: asyncio.AbstractEventLoop) -> object:
        """Make no task the current one; return the one that was."""
        return _tasks._swap_current_task(loop, None)

    def put(loop: asyncio.AbstractEventLoop, task: object) -> None:
        """Make `task` the current one again."""
        _tasks._swap_current_task(loop, task)

else:

    def take(loop: asyncio.AbstractEventLoop) -> object:
        """Make no task the current one; return the one that was."""
        task = asyncio.current_task(loop)
        if task is not None:
            _tasks._leave_task(loop, task)
        return task

    def put(loop: asyncio.AbstractEventLoop, task: object) -> None:
        """Make `task` the current one again."""
        if task is not None:
            _tasks._enter_task(loop, task)
