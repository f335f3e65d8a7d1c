"""cpu_limit: how much CPU time a block may use, with what it starts, and what happens when it uses more.

What counts is an account (`_core/_accounts.py`) that the block's G has until the block ends, and its children inherit.
A mark that is met is told from the loop: by then the task does not run, and is ended where it stands as a timeout ends
it (`_blocks.py`), or demoted, or reported.

Context: the loop's thread.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from preemptio._aio._blocks import Block
from preemptio._aio._inspect import all_gs
from preemptio._core._accounts import Account, close_account, open_account
from preemptio._core._nice import renice
from preemptio._errors import CPULimitError
from preemptio._log import report_cpu_limit

if TYPE_CHECKING:
    from preemptio._core._g import G

DEMOTED: Final = 19
"""The `nice` of what has used more than it should."""


class cpu_limit:  # noqa: N801 - used as `async with preemptio.cpu_limit(...)`, as preemptio.timeout is
    """Limit the CPU time of a block: `async with preemptio.cpu_limit(2.0): ...`.

    What counts is the thread's CPU time while the task runs, and while the tasks run that it starts in the block, and
    theirs: not the time that they wait. Calls in threads do not count. Without a limit it only counts: `used`.

    Args:
        cancel: seconds after which the block is ended.
        demote: seconds after which the task, and those that it has started, get the least of the CPU beside others.
        warn: seconds after which a warning is logged.

    Raises:
        CPULimitError: from the block's end, when it has used more than `cancel`.
        NotAGError: entered outside a task of a preemptio loop.
        ValueError: a limit is not a positive number, or they are not in the order warn, demote, cancel.

    A block is ended within two slices of its limit, at a function's entry or a loop's back edge, if its code may be
    preempted; a task that it has started is not ended by that: see TaskGroup. A C call counts when it returns.

    Example:
        >>> import preemptio
        >>> async def main():
        ...     try:
        ...         async with preemptio.cpu_limit(0.05) as cpu:
        ...             while True:
        ...                 pass
        ...     except preemptio.CPULimitError:
        ...         return cpu.used >= 0.05
        >>> preemptio.run(main())
        True
    """

    __slots__ = ("_account", "_block", "_g", "_limits", "_nice", "_p")

    def __init__(self, cancel: float | None = None, *, demote: float | None = None, warn: float | None = None) -> None:
        """Set the limits; counting starts when the block is entered."""
        self._limits = _checked(warn=warn, demote=demote, cancel=cancel)
        self._account = Account(self._reached, [(limit, action) for action, limit in self._limits.items()])
        self._block = Block()
        self._g: G | None = None
        self._p: Any = None
        self._nice: dict[G, int] = {}  # of those that were demoted, as it was

    @property
    def used(self) -> float:
        """The CPU time that was used, in seconds: exact, also inside the block and after it."""
        p = self._p
        if p is not None and p.curg is not None and self._account in p.curg._extra.accounts:
            p.charge(p.curg)
        return self._account.cpu_time

    @property
    def exceeded(self) -> bool:
        """Whether the block was ended because it used more than `cancel`."""
        return self._block.struck

    async def __aenter__(self) -> Self:
        """Begin to count."""
        self._g = g = self._block.enter("cpu_limit", "preemptio.run(main())")
        self._p = asyncio.get_running_loop()._p  # type: ignore[attr-defined]  # it has a G, so it is ours
        open_account(self._p, g, self._account)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Count no more; turn our own cancellation into CPULimitError."""
        g, p = self._g, self._p
        if g is None:
            return
        close_account(p, g, self._account)
        for each, nice in self._nice.items():
            renice(each, nice)
        self._nice.clear()
        self._g = None
        if self._block.ours(kind):
            limit = self._limits["cancel"]
            msg = f"the block has used {self._account.cpu_time:.3f} s of CPU time; its limit was {limit:g} s"
            raise CPULimitError(msg) from exc

    def _reached(self, action: str) -> None:
        """Do what was to be done at a mark. From the loop, outside of the block's steps."""
        g = self._g
        if g is None:  # the block has ended meanwhile
            return
        if action == "cancel":
            self._block.strike()
            return
        if action == "demote":
            self._demote()
        report_cpu_limit(g, action, self._limits[action], self._account.cpu_time)

    def _demote(self) -> None:
        """Let everything that counts here have the least of the CPU, until the block ends."""
        for g in all_gs(asyncio.get_running_loop()):
            if self._account in g._extra.accounts:
                self._nice.setdefault(g, g.nice)
                renice(g, DEMOTED)


def _checked(**limits: Any) -> dict[str, float]:
    """Return the limits that were given, which must be numbers in this order.

    Raises:
        ValueError: they are not.
    """
    given = {name: limit for name, limit in limits.items() if limit is not None}
    for name, limit in given.items():
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 < limit < math.inf:
            msg = f"cpu_limit({name}=...) is a positive number of seconds, not {limit!r}: cpu_limit({name}=2.0)"
            raise ValueError(msg)
    if list(given.values()) != sorted(given.values()):
        said = ", ".join(f"{name}={limit!r}" for name, limit in given.items())
        msg = f"cpu_limit({said}): to warn comes before to demote, and that before to cancel"
        raise ValueError(msg)
    return given
