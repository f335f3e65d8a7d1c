"""The guard: synchronous preemption, the role of the stack guard in Go's function prologues.

Problem. Code that knows it computes long should give way at places of its own choosing, at a cost so low that
nobody minds the call: `checkpoint()` in an inner loop. And it must work where signals do not: another thread's
loop, Windows, `asyncpreemptoff`.

What we do. One module global says whether any processor's guard is poisoned; `checkpoint()` tests it and returns.
Only when it is set does the slow path look whose guard it was. A request is a flag on the G (`g.preempt`) *and*
the poison; the flag survives while the guard is restored, so a masked request is never lost: the mask's end
poisons again. A processor without a tick is poisoned for good ("clocked"): its checkpoints read the clock.

Invariant: `_poisoned` is true whenever `_who` is not empty. `restore` clears first and looks afterwards, so that a
tick between the two lines cannot be overwritten.

Context: `checkpoint`, `should_yield`, `charge` in a G (anywhere else they do nothing); `poison` also in the tick
handler; `restore` on carriers and in the hub.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from preemptio._core._current import current_processor
from preemptio._core._gstatus import RUNNING
from preemptio._core._headroom import CannotLeaveError, NoRoomError
from preemptio._core._reasons import PreemptKind

if TYPE_CHECKING:
    from types import FrameType

    from preemptio._core._g import G
    from preemptio._core._processor import Processor

UNITS_PER_SLICE = 1000
"""charge(): units that use up a slice, whatever its length in time."""

_poisoned = False
_who: set[Processor] = set()


def poison(p: Processor) -> None:
    """Make the next checkpoint of `p`'s G look closer."""
    global _poisoned  # noqa: PLW0603 - the fast path reads a module global: the cheapest test Python has
    _who.add(p)
    _poisoned = True


def restore(p: Processor) -> None:
    """Make checkpoints of `p`'s G cheap again. A clocked processor stays poisoned."""
    global _poisoned  # noqa: PLW0603 - see poison
    if p.clocked:
        return
    _who.discard(p)
    _poisoned = False
    if _who:
        _poisoned = True


def checkpoint() -> None:
    """Give way to other tasks if this task's slice is used up; otherwise do nothing, in a few dozen nanoseconds.

    Synchronous, and legal anywhere: in an `async def`, in a plain function called from one, outside any task
    (where it does nothing). Inside `with preemptio.nopreempt(...)` it does nothing either, but the request is kept.

    Raises:
        asyncio.CancelledError: the task was started with `cancel="safepoint"`, or is in a `preemptio.timeout`,
            and was cancelled while it stood here.

    Source: stack.go, newstack.

    Example:
        >>> import preemptio
        >>> def crunch(rows):
        ...     total = 0
        ...     for row in rows:
        ...         preemptio.checkpoint()
        ...         total += row
        ...     return total
        >>> async def main():
        ...     return await preemptio.go(crunch, [1, 2, 3])
        >>> preemptio.run(main())
        6
    """
    if _poisoned:
        _checkpoint()


def should_yield() -> bool:
    """Report whether `checkpoint()` would give way here. As cheap, and as legal anywhere.

    For code that wants to reach a tidy state before it gives way.
    """
    return _poisoned and _wanted(sys._getframe(1)) is not None


def charge(units: int) -> None:
    """Count work whose cost the caller knows, and give way when a slice's worth is counted.

    Args:
        units: thousandths of a slice; 1000 use it up whatever the clock says. For code that spends its time where
            no tick can reach it (a C library), or that wants deterministic hand-overs.

    Raises:
        ValueError: `units` is negative.
        asyncio.CancelledError: as `checkpoint`.
    """
    if units < 0:
        msg = f"charge() takes units >= 0 (thousandths of a slice), not {units}"
        raise ValueError(msg)
    p = current_processor()
    g = None if p is None else p.curg
    if p is None or g is None:
        return
    extra = g.extra()
    tick, used = extra.charged
    used = units if tick != p.schedtick else used + units
    if used >= UNITS_PER_SLICE:
        used = 0
        p.parked.use_up(g, time.thread_time() - p.cpu_mark)
        p.request(g)
    extra.charged = (p.schedtick, used)
    checkpoint()


def _wanted(frame: FrameType) -> G | None:
    """Return the G that must give way at this place, if any: asked, running on its carrier, not masked or held."""
    p = current_processor()
    if p is None:
        return None
    g = p.curg
    if g is None or g.status is not RUNNING:
        return None
    if not g.preempt and not (p.clocked and _clock_ran_out(p)):
        return None
    if p.masked(g):
        restore(p)  # keep g.preempt: the end of the mask poisons again
        return None
    section = g._extra.restartable
    return None if section is not None and section.holds(frame) else g


def _clock_ran_out(p: Processor) -> bool:
    """Report whether the step has used its slice, by the clock: for loops without a tick."""
    now = time.perf_counter()
    if p.clock_tick != p.schedtick:
        p.clock_tick, p.clock_start = p.schedtick, now
        return False
    return now - p.clock_start >= p.slice


def _checkpoint() -> None:
    frame = sys._getframe(2)  # who calls checkpoint()
    g = _wanted(frame)
    if g is not None:
        p = current_processor()
        if p is not None:
            section = g._extra.restartable
            torn = section is not None and section.torn_at(frame)
            try:
                exc = p.preempt(g, PreemptKind.SYNC)
            except (NoRoomError, CannotLeaveError):
                return  # the next checkpoint, further out, takes the request
            if exc is None and torn and section is not None:
                exc = section.restart(g.extra())
            if exc is not None:
                raise exc
