"""Seeing, without running it, whether a loop's next turn would find anything to do.

A slice that ran out needs no switch when nobody waits for the CPU. What waits is in three places: the queue of ready
handles, which the adapters know; the kernel, for I/O and for other threads' wake-ups; and the timers. An epoll object
is itself readable when anything in it is, and looking at it takes nothing out.

Context: `poller` and `timers_of` when the loop is made; what they return in the tick handler.
"""

from __future__ import annotations

import gc
import select
import time
from collections.abc import Callable
from typing import Any, Final

FEW: Final = 32
"""Timers that are looked at one by one; a loop with more of them is not called quiet."""


def poller(epoll: int) -> Callable[[int], list[Any]]:
    """Return the `poll` of an epoll object: called with 0 it says whether anything there is ready."""
    poll = select.poll()
    poll.register(epoll, select.POLLIN)
    return poll.poll


def timers_of(loop: Any) -> set[Any] | None:
    """Return the set in which a uvloop keeps its timer handles, found by putting one there; None if it is not found."""
    probe = loop.call_later(3600, print)
    try:
        return next((held for held in gc.get_referents(loop) if type(held) is set and held == {probe}), None)
    finally:
        probe.cancel()


def none_due(timers: set[Any]) -> bool:
    """Report whether there are few enough timers to look at, and the time of none has come."""
    if not timers:
        return True
    if len(timers) > FEW:
        return False
    now = time.monotonic()
    return all(timer.when() > now for timer in tuple(timers))
