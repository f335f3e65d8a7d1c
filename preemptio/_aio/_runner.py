"""run: asyncio.run with the runtime, and a shutdown that ends.

How tasks are ended is in `_shutdown.py`. What is here besides: errors that say what to type, and the end of tasks on a
loop without preemption, too, which `loop_factory` may return.

Context: the main program; no loop runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from preemptio._aio._loops import Loop, new_event_loop
from preemptio._aio._runtime import RuntimeLoop
from preemptio._aio._shutdown import see_ended
from preemptio._config import config

T = TypeVar("T")


def run(
    main: Coroutine[Any, Any, T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], Loop] | None = None,
    grace: float | None = None,
) -> T:
    """Run a coroutine on a new preemptio loop, and end everything at its end. `asyncio.run`, preempted.

    Args:
        main: the coroutine.
        debug: asyncio's debug mode; None leaves it to the environment.
        loop_factory: makes the loop; `preemptio.new_event_loop` by default.
        grace: seconds that tasks get to end when `main` has, and once more when that was insisted on; None takes the
            knob `grace`.

    Returns:
        What `main` returns.

    Raises:
        TypeError: `main` is not a coroutine.
        ValueError: `grace` is negative.
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
    if grace is not None and not grace >= 0:
        main.close()
        msg = f"run(grace=...) takes seconds, 0 or more, not {grace!r}"
        raise ValueError(msg)
    with asyncio.Runner(debug=debug, loop_factory=loop_factory or new_event_loop) as runner:
        try:
            return runner.run(main)
        finally:
            end_tasks(runner.get_loop(), config.grace if grace is None else grace)


def end_tasks(loop: Loop, grace: float) -> None:
    """Cancel every task of a loop that does not run, and see that it ends. Bounded by twice `grace`."""
    asked = asyncio.all_tasks(loop)
    if not asked:
        return
    for task in asked:
        task.cancel()
    runtime: RuntimeLoop | None = None
    if isinstance(loop, RuntimeLoop):
        runtime = loop
    left = see_ended(loop, runtime, asked, grace)
    for task in asked.difference(left):
        _report_failure(loop, task)


def _report_failure(loop: Loop, task: asyncio.Task[Any]) -> None:
    if task.done() and not task.cancelled() and task.exception() is not None:
        loop.call_exception_handler(
            {
                "message": "unhandled exception during preemptio.run() shutdown",
                "exception": task.exception(),
                "task": task,
            }
        )
