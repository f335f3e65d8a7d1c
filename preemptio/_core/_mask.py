"""nopreempt: regions that are never interrupted. The role of Go's acquirem / releasem and m.preemptoff.

A request that arrives inside is masked, not lost: `g.preempt` stays set, and leaving the outermost region poisons
the guard again. The mask belongs to the G, so it stays up across an await inside the region, and two
tasks in the same region do not share it.

Context: anywhere. Outside a G it does nothing, so that a library may use it unconditionally.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from preemptio._core import _guard
from preemptio._core._current import current_g, current_processor

if TYPE_CHECKING:
    from preemptio._core._g import G

F = TypeVar("F", bound=Callable[..., Any])


class nopreempt:  # noqa: N801 - used as `with nopreempt(...)` and `@nopreempt(...)`, like contextlib's
    """Keep the running task from being preempted, as `with preemptio.nopreempt("why"):` or as a decorator.

    Args:
        reason: shown in dumps and by `G.reason` while the region is active. A few words.

    Regions nest. A task that was asked to give way inside is met at the next safe point behind the region. What it
    protects is short work on shared state; a long one freezes the service as plain asyncio would.

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

    __slots__ = ("_entered", "reason")

    def __init__(self, reason: str) -> None:
        """Remember the reason."""
        if not isinstance(reason, str):
            msg = f"nopreempt takes the reason as text, not {reason!r}: with preemptio.nopreempt('why'): ..."
            raise TypeError(msg)
        self.reason = reason
        self._entered: list[G | None] = []  # who is inside by this object, the last one last

    def __enter__(self) -> None:
        """Raise the mask of the running G."""
        g = current_g()
        self._entered.append(g)
        if g is not None:
            g.locks += 1
            extra = g.extra()
            extra.preempt_off = (*extra.preempt_off, self.reason)

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Drop it again; at the outermost, arm what was asked meanwhile.

        One object serves nested regions and several tasks: the mask that is dropped is the running G's own, or, where
        a generator is finished by another task than the one that began it, the one that entered last.
        """
        g = current_g()
        if g not in self._entered:
            g = self._entered[-1]
        self._entered.reverse()
        self._entered.remove(g)
        self._entered.reverse()
        if g is None:
            return
        extra = g.extra()
        reasons = list(extra.preempt_off)
        del reasons[len(reasons) - 1 - reasons[::-1].index(self.reason)]
        extra.preempt_off = tuple(reasons)
        g.locks -= 1
        p = current_processor()
        asked = None if p is None else p.curg
        if not g.locks and p is not None and asked is not None and asked.preempt:
            _guard.poison(p)

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
