"""go: start a G. The `go` statement.

A plain function becomes a goroutine *in the loop's thread*: its task is a coroutine of ours that calls it, so
inside it `preemptio.wait()` may be used to wait, and the tick preempts it like any task. It is not a thread: what is
atomic in a task is atomic in it.

Context: `go` in the loop's thread, inside the running loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Coroutine
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast, overload

from preemptio._aio import _steps
from preemptio._aio._cpulimit import cpu_limit as limit_of
from preemptio._aio._runtime import RuntimeLoop
from preemptio._aio._task import Task
from preemptio._core._nice import renice
from preemptio._errors import NotInstalledError
from preemptio._preempt._codes import GO_FRAMES
from preemptio._preempt._policy import SafePointPolicy

if TYPE_CHECKING:
    from contextvars import Context

    from preemptio._core._g import G

T = TypeVar("T")

NICE: Final = range(-20, 20)

Cancel = Literal["await", "safepoint"]


async def _call(fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    """Be the coroutine of a goroutine."""
    return fn(*args, **kwargs)


GO_FRAMES.add(_call.__code__)


@overload
def go(fn: Coroutine[Any, Any, T], /, **options: Any) -> Task[T]: ...
@overload
def go(fn: Callable[..., Coroutine[Any, Any, T]], /, *args: Any, **options: Any) -> Task[T]: ...
@overload
def go(fn: Callable[..., T], /, *args: Any, **options: Any) -> Task[T]: ...


def go(
    fn: Any,
    /,
    *args: Any,
    name: str | None = None,
    context: Context | None = None,
    nice: int | None = None,
    background: bool = False,
    cancel: Cancel = "await",
    policy: SafePointPolicy | None = None,
    cpu_limit: float | limit_of | None = None,
    **kwargs: Any,
) -> Any:
    """Start a task, from a plain function, a coroutine function or a coroutine.

    Args:
        fn: what to run. A plain function runs in the loop's thread, preempted like any task.
        *args: its arguments; none with a coroutine.
        name: the task's name.
        context: the contextvars.Context to run in; a copy of the current one otherwise.
        nice: -20..19. Beside other computing tasks each step of +1 is a fifth less CPU. By default what the task has
            that calls `go`, usually 0.
        background: run only when nothing else wants to.
        cancel: "await" is asyncio's way: CancelledError at the next await. "safepoint": wherever a preempted
            task stands, so that a loop that never awaits can be cancelled.
        policy: whose code may be preempted in this task, added to what the loop's settings say.
        cpu_limit: seconds of CPU time that it may use, with what it starts: then it ends with CPULimitError. Or a
            `cpu_limit` with more to say: `cpu_limit(5.0, demote=1.0)`.
        **kwargs: keyword arguments for `fn`.

    Returns:
        An asyncio.Task with its G as `.g`. Keep a reference to it, as with asyncio.create_task.

    Raises:
        NotInstalledError: no loop runs in this thread, or the one that runs has no runtime.
        TypeError: `fn` is neither callable nor a coroutine, a coroutine came with arguments, or `policy` is no policy.
        ValueError: `nice`, `cancel` or `cpu_limit` is not one of the values above.

    Source: proc.go, newproc.

    Example:
        >>> import preemptio
        >>> def crunch(n):
        ...     return sum(i * i for i in range(n))
        >>> async def main():
        ...     return await preemptio.go(crunch, 1000)
        >>> preemptio.run(main())
        332833500
    """
    coro = coroutine_of(fn, args, kwargs)
    try:
        loop = _loop()
        if nice or cancel != "await" or policy is not None:
            check_options(nice, cancel, policy)
        if cpu_limit is not None:
            coro = _limited(coro, cpu_limit if isinstance(cpu_limit, limit_of) else limit_of(cpu_limit))
        if background:
            _steps.held_back.add(coro)
        task = loop.create_task(coro, name=name, context=context)
    except BaseException:
        coro.close()  # else: "coroutine was never awaited", on top of the error
        raise
    finally:
        if background:
            _steps.held_back.discard(coro)
    g: G | None = getattr(task, "g", None)
    if g is None:
        with contextlib.suppress(Exception):
            task.cancel()
        msg = f"the loop's task factory made a {type(task).__name__}, which cannot be a G; go() needs asyncio tasks"
        raise NotInstalledError(msg)
    if nice is not None or cancel != "await" or policy is not None:
        set_options(task, nice, cancel, policy)
    return task


async def _limited(coro: Coroutine[Any, Any, T], limit: limit_of) -> T:
    """Be the coroutine of a task with a limit."""
    async with limit:
        return await coro


def set_options(task: Any, nice: int | None, cancel: str, policy: SafePointPolicy | None) -> None:
    """Set on the G of a new task what `go` was given for it."""
    extra = task.g.extra()
    if nice is not None:
        renice(task.g, nice)
    extra.cancel_at_safe_point = cancel == "safepoint"
    extra.policy = policy


def coroutine_of(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[Any, Any, Any]:
    """Return the coroutine that a task runs for what `go` was given."""
    if type(fn) is FunctionType and not kwargs:  # the common cases first: asking inspect costs a microsecond
        if fn.__code__.co_flags & inspect.CO_COROUTINE:
            return cast("Coroutine[Any, Any, Any]", fn(*args))
    elif asyncio.iscoroutine(fn):
        if args or kwargs:
            fn.close()
            msg = "go(coroutine) takes no arguments for it; pass the function: preemptio.go(fn, ...)"
            raise TypeError(msg)
        return fn
    if not callable(fn):
        msg = f"go() takes a function, a coroutine function or a coroutine, not {fn!r}: preemptio.go(fn, *args)"
        raise TypeError(msg)
    if inspect.iscoroutinefunction(fn):
        return cast("Coroutine[Any, Any, Any]", fn(*args, **kwargs))
    return _named(fn, _call(fn, args, kwargs))


def _named(fn: Any, coro: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
    """Give the wrapper the function's name: it is what task lists show."""
    for attribute in ("__name__", "__qualname__"):
        with contextlib.suppress(AttributeError, TypeError):
            setattr(coro, attribute, getattr(fn, attribute))
    return coro


def _loop() -> RuntimeLoop:
    loop = asyncio._get_running_loop()
    if isinstance(loop, RuntimeLoop):
        return loop
    if loop is None:
        msg = (
            "go(): no event loop runs in this thread. Call it from a task: async def main(): preemptio.go(...); "
            "preemptio.run(main()). From another thread: loop.call_soon_threadsafe(preemptio.go, fn, ...)"
        )
        raise NotInstalledError(msg)
    msg = (
        f"go(): the running {type(loop).__name__} has no preemptio runtime. Start it with preemptio.run(main()), or "
        "asyncio.Runner(loop_factory=preemptio.new_event_loop), or call preemptio.install(loop) first"
    )
    raise NotInstalledError(msg)


def check_options(nice: int | None, cancel: str, policy: object) -> None:
    """Raise unless these are what `go` takes."""
    if nice is not None and nice not in NICE:
        msg = f"go(nice=...) is from -20 (most CPU) to 19 (least), not {nice!r}; background=True is below all"
        raise ValueError(msg)
    if cancel not in ("await", "safepoint"):
        msg = f'go(cancel=...) is "await" or "safepoint", not {cancel!r}'
        raise ValueError(msg)
    if policy is not None and not isinstance(policy, SafePointPolicy):
        msg = f"go(policy=...) is a SafePointPolicy, not {policy!r}: preemptio.SafePointPolicy(allow=['my_lib'])"
        raise TypeError(msg)
