"""A probe: how long one wait for the CPU of one G takes, from when its step is queued to when it runs.

Problem. The delay between ready and run is the measure of a scheduler. To stamp every step when it is queued costs more
than a twentieth of a step.

What we do. A G that has a probe is `aside`: its next step does not go straight into the queue, but by the way that
steps of suspended Gs go, which all others have been tested for anyway. There it gets the stamp, in a wrapper around
its context, and the probe is used up. No other step pays for it.

Context: the loop's thread; `run` on a carrier.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._parked import Step

Tell = Callable[[float], None]


def probe(g: G, tell: Tell) -> None:
    """Have `tell` called with the seconds that the next step of `g` waits for the CPU. It must not raise."""
    extra = g.extra()
    extra.probe = tell
    extra.aside = True


def probed(step: Step) -> Step:
    """Use up the probe of a G whose step is about to be queued: return the step with a stamp of this moment."""
    g, callback, args, context = step
    extra = g.extra()
    tell, extra.probe = extra.probe, None
    extra.settle_aside()
    return g, callback, args, context if tell is None else _Probed(context, tell)


class _Probed:
    """Stands for the context of a step, and tells when it is entered."""

    __slots__ = ("_context", "_since", "_tell", "entered")

    def __init__(self, context: Any, tell: Tell) -> None:
        self._context = context
        self.entered = getattr(context, "entered", context)  # as `entered_context` of _parked.py asks for it
        self._tell: Tell | None = tell
        self._since = time.perf_counter()

    def run(self, callback: Callable[..., object], *args: object) -> None:
        tell, self._tell = self._tell, None
        if tell is not None:  # a step whose context was entered already comes here twice
            tell(time.perf_counter() - self._since)
        self._context.run(callback, *args)
        del self, callback, args  # the traceback of an exception that the task keeps may keep this frame
