"""nopreempt: regions that are never interrupted. The role of Go's acquirem / releasem and m.preemptoff.

A request that arrives inside is masked, not lost: `g.preempt` stays set, and leaving the outermost region poisons
the guard again and gives way. The mask belongs to the G, so it stays up across an await inside the region, and two
tasks in the same region do not share it.

Context: anywhere. Outside a G it does nothing, so that a library may use it unconditionally.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar, cast

from preemptio._core import _guard
from preemptio._core._current import current_g, current_processor

F = TypeVar("F", bound=Callable[..., Any])


class nopreempt:  # noqa: N801 - used as `with nopreempt(...)` and `@nopreempt(...)`, like contextlib's
    """Keep the running task from being preempted, as `with preemptio.nopreempt("why"):` or as a decorator.

    Args:
        reason: shown in dumps and by `G.reason` while the region is active. A few words.

    Regions nest. The end of the outermost one is a checkpoint if a request came meanwhile. What it protects is short
    work on shared state; a long one freezes the service as plain asyncio would.

    Raises:
        TypeError: `reason` is not a string (usually a missing pair of brackets: `@nopreempt("why")`).

    Example:
        >>> import preemptio
        >>> account = {"a": 100, "b": 0}
        >>> async def transfer(n):
        ...     with preemptio.nopreempt("transfer"):
        ...         account["a"] -= n
        ...         account["b"] += n
        >>> preemptio.run(transfer(30))
        >>> account
        {'a': 70, 'b': 30}
    """

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        """Remember the reason."""
        if not isinstance(reason, str):
            msg = f"nopreempt takes the reason as text, not {reason!r}: with preemptio.nopreempt('why'): ..."
            raise TypeError(msg)
        self.reason = reason

    def __enter__(self) -> None:
        """Raise the mask of the running G."""
        g = current_g()
        if g is not None:
            g.locks += 1
            extra = g.extra()
            extra.preempt_off = (*extra.preempt_off, self.reason)

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Drop it again; at the outermost, arm what was asked meanwhile.

        Looks the G up anew instead of remembering it, so that one object serves nested regions and several tasks.
        """
        p = current_processor()
        g = current_g()
        if p is None or g is None or self.reason not in g.extra().preempt_off:
            return  # entered outside a G
        extra = g.extra()
        reasons = list(extra.preempt_off)
        del reasons[len(reasons) - 1 - reasons[::-1].index(self.reason)]
        extra.preempt_off = tuple(reasons)
        g.locks -= 1
        asked = p.curg
        if not g.locks and asked is not None and asked.preempt:
            _guard.poison(p)
            if exc is None:
                _guard.checkpoint()  # else a loop that is masked most of the time would hardly ever be met outside

    def __call__(self, fn: F) -> F:
        """Decorate a function: its whole body is the region."""
        reason = self.reason
        if inspect.iscoroutinefunction(fn):

            @functools.wraps(fn)
            async def masked_coroutine(*args: Any, **kwargs: Any) -> Any:
                with nopreempt(reason):
                    return await fn(*args, **kwargs)

            return cast("F", masked_coroutine)

        @functools.wraps(fn)
        def masked(*args: Any, **kwargs: Any) -> Any:
            with nopreempt(reason):
                return fn(*args, **kwargs)

        return cast("F", masked)
