"""TaskGroup: asyncio's, with a share of the CPU for all that it starts.

asyncio's own does the work; what is added is set on its children's Gs. A child that computes without awaiting would
not hear of the group's end: it is cancelled at a safe point.

Context: the loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from types import TracebackType
from typing import Any, Self, TypeVar

from preemptio._aio._cpulimit import cpu_limit as limit_of
from preemptio._aio._go import Cancel, check_options, coroutine_of, set_options

T = TypeVar("T")


class TaskGroup(asyncio.TaskGroup):
    """Start tasks that end together, as asyncio.TaskGroup does, with a share of the CPU for all of them.

    Args:
        nice: -20..19, of the tasks that are started in it; by default that of the task which starts them.
        cpu_limit: seconds of CPU time for the block and all tasks of the group together, or a `cpu_limit` with more
            to say. When it is used up the tasks are cancelled, and the group raises CPULimitError.
        cancel: "safepoint": a task that computes when the group ends is cancelled where it stands. "await" is
            asyncio's way: at its next await.

    Raises:
        ValueError: `nice`, `cpu_limit` or `cancel` is not one of the values above.
        Whatever asyncio.TaskGroup raises: an ExceptionGroup of what the tasks raised.

    Example:
        >>> import preemptio
        >>> def square(n):
        ...     return n * n
        >>> async def main():
        ...     async with preemptio.TaskGroup(nice=5) as group:
        ...         tasks = [group.go(square, n) for n in range(4)]
        ...     return [task.result() for task in tasks]
        >>> preemptio.run(main())
        [0, 1, 4, 9]
    """

    def __init__(
        self, *, nice: int | None = None, cpu_limit: float | limit_of | None = None, cancel: Cancel = "safepoint"
    ) -> None:
        """Set what the children get; the group starts when its block is entered."""
        super().__init__()
        check_options(nice, cancel, None)
        self._nice = nice
        self._cancel: Cancel = cancel
        self._limit = cpu_limit if isinstance(cpu_limit, limit_of) else limit_of(cpu_limit)

    @property
    def cpu_time(self) -> float:
        """The CPU time of the block and of the group's tasks together, in seconds."""
        return self._limit.used

    async def __aenter__(self) -> Self:
        """Begin the group."""
        await self._limit.__aenter__()
        return await super().__aenter__()

    async def __aexit__(
        self, et: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Wait for the tasks, or end them."""
        try:
            await super().__aexit__(et, exc, tb)
        except BaseException as why:
            await self._limit.__aexit__(type(why), why, why.__traceback__)
            raise
        await self._limit.__aexit__(None, None, None)

    def create_task(  # type: ignore[override]  # asyncio's takes generators, too, which a C task does not
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
        nice: int | None = None,
        **kwargs: Any,
    ) -> asyncio.Task[T]:
        """Start a coroutine in the group.

        Args:
            coro: the coroutine.
            name: the task's name.
            context: the contextvars.Context to run in; a copy of the current one otherwise.
            nice: of this task, instead of the group's.
            **kwargs: as the loop's create_task takes them.

        Raises:
            RuntimeError: the group is not entered, ends, or has ended.
            ValueError: `nice` is not in -20..19.
        """
        if nice is not None:
            try:
                check_options(nice, "await", None)
            except ValueError:
                coro.close()
                raise
        task = super().create_task(coro, name=name, context=context, **kwargs)
        set_options(task, self._nice if nice is None else nice, self._cancel, None)
        return task

    def go(
        self,
        fn: Callable[..., Any],
        /,
        *args: Any,
        name: str | None = None,
        context: Context | None = None,
        nice: int | None = None,
        **kwargs: Any,
    ) -> asyncio.Task[Any]:
        """Start a plain function, a coroutine function or a coroutine in the group, as `preemptio.go` does.

        Args:
            fn: what to run.
            *args: its arguments.
            name: the task's name.
            context: the contextvars.Context to run in; a copy of the current one otherwise.
            nice: of this task, instead of the group's.
            **kwargs: keyword arguments for `fn`.

        Raises:
            RuntimeError, ValueError: as `create_task`.
            TypeError: `fn` is neither callable nor a coroutine.
        """
        coro = coroutine_of(fn, args, kwargs)
        try:
            return self.create_task(coro, name=name, context=context, nice=nice)
        except BaseException:
            coro.close()
            raise
