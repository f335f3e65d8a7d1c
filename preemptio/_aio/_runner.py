"""run: asyncio.run with the runtime, and a shutdown that ends.

Problem. asyncio.run cancels what is left and waits for it. A task that computes and never awaits is never told, so
with preemption it would be given slice after slice for ever.

What we do, in this order, each step bounded by the knob `grace`:
  1. cancel every task, as asyncio does, and wait for them;
  2. raise CancelledError in those that stand at a safe point, once, then each time they are met there, and wait;
  3. report those that are left (code that catches everything, or that cannot be preempted) and close the loop,
     which raises GreenletExit in them.

Context: the main program; no loop runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from preemptio._aio._loops import Loop, new_event_loop
from preemptio._aio._runtime import RuntimeLoop
from preemptio._aio._task import Task
from preemptio._config import config
from preemptio._log import report_stopped, report_stragglers

T = TypeVar("T")


def run(
    main: Coroutine[Any, Any, T], *, debug: bool | None = None, loop_factory: Callable[[], Loop] | None = None
) -> T:
    """Run a coroutine on a new preemptio loop, and end everything at its end. `asyncio.run`, preempted.

    Args:
        main: the coroutine.
        debug: asyncio's debug mode; None leaves it to the environment.
        loop_factory: makes the loop; `preemptio.new_event_loop` by default.

    Returns:
        What `main` returns.

    Raises:
        TypeError: `main` is not a coroutine.
        RuntimeError: a loop runs in this thread already.
        KeyboardInterrupt: Ctrl-C, after `main` was cancelled.

    Example:
        >>> import asyncio, preemptio
        >>> async def main():
        ...     await asyncio.sleep(0)
        ...     return 42
        >>> preemptio.run(main())
        42
    """
    if not asyncio.iscoroutine(main):
        msg = f"run() takes a coroutine, not {main!r}: preemptio.run(main())"
        raise TypeError(msg)
    if asyncio._get_running_loop() is not None:
        main.close()
        msg = "run() cannot be called while a loop runs in this thread; use `await`, or preemptio.go(...)"
        raise RuntimeError(msg)
    with asyncio.Runner(debug=debug, loop_factory=loop_factory or new_event_loop) as runner:
        try:
            return runner.run(main)
        finally:
            end_tasks(runner.get_loop(), config.grace)


def end_tasks(loop: Loop, grace: float) -> None:
    """End every task of a loop that does not run: ask, then insist, then report. Bounded by twice `grace`."""
    asked = asyncio.all_tasks(loop)
    if isinstance(loop, RuntimeLoop):
        loop.let_all_go()
    if not asked:
        return
    for task in asked:
        task.cancel()
    loop.run_until_complete(_wait(asked, grace))
    left = {task for task in asked if not task.done()}
    if left and isinstance(loop, RuntimeLoop):
        loop.run_until_complete(_insist(loop, left, grace))
    for task in asked - left:
        _report_failure(loop, task)
    _give_up([task for task in left if not task.done()])


async def _wait(tasks: set[asyncio.Task[Any]], grace: float) -> None:
    await asyncio.wait(tasks, timeout=grace)


async def _insist(loop: RuntimeLoop, tasks: set[asyncio.Task[Any]], grace: float) -> None:
    """Raise CancelledError in tasks that stand at a safe point until they are done or the time is over."""
    deadline = time.monotonic() + grace
    for task in tasks:
        g = getattr(task, "g", None)
        if g is not None:
            g.extra().cancel_at_safe_point = True
            if isinstance(task, Task) and g.parked:
                task.cancel()
    await asyncio.wait(tasks, timeout=grace / 2)  # its cleanup may compute or wait in peace
    while (left := [task for task in tasks if not task.done()]) and time.monotonic() < deadline:
        for task in left:
            if isinstance(task, Task) and task.g.parked:
                task.cancel()
        await asyncio.sleep(loop._p.slice)
    for task in tasks:
        if task.done() and hasattr(task, "g"):
            report_stopped(task.g, "shutdown")


def _report_failure(loop: Loop, task: asyncio.Task[Any]) -> None:
    if task.done() and not task.cancelled() and task.exception() is not None:
        loop.call_exception_handler(
            {
                "message": "unhandled exception during preemptio.run() shutdown",
                "exception": task.exception(),
                "task": task,
            }
        )


def _give_up(tasks: list[asyncio.Task[Any]]) -> None:
    """Take what cannot be ended out of asyncio's sight: the Runner would wait for it for ever."""
    if not tasks:
        return
    report_stragglers([task.g for task in tasks if hasattr(task, "g")], "shutdown")
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # it was just reported
        asyncio.tasks._unregister_task(task)
