"""The host: what the core asks of the event loop that it runs on. The only way in which the core reaches a loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from preemptio._core._carrier import Carrier
    from preemptio._core._g import G
    from preemptio._core._parked import Parked, Step


class Host(Protocol):
    """What a kind of event loop gives the processor: its queue, and what it keeps per running task."""

    def drain(self, carrier: Carrier) -> None:
        """Run a batch of queued steps on `carrier`; return when it is over or `attention` is set."""

    def enqueue(self, item: Step | Parked) -> None:
        """Put a step, or a parked one that is ready again, into the queue at its place."""

    def arm(self) -> None:
        """Start the tick: a step is about to run and `armed` is false."""

    def kick(self) -> None:
        """See to it that the hub looks at the parked queue: it is not empty any more."""

    def backlog(self) -> int:
        """Return about how many steps are queued and wait for the CPU."""

    def innermost_g(self) -> G | None:
        """Return the G of the task that runs now: an eager one is inside the step of the task that creates it."""

    def runs(self, g: G) -> bool:
        """Report whether a G that has no step runs all the same, inside somebody else's."""

    def leave(self) -> object:
        """Swap out what the loop keeps about the running task; the token goes to `enter`."""

    def enter(self, token: object) -> None:
        """Swap it in again."""

    def quiet(self) -> bool:
        """Report whether nothing waits for the CPU but parked steps, I/O and timers included. In the tick handler."""

    def idle(self) -> None:
        """Note that no step has run for a while, and that the tick is off. In the tick handler, or its thread."""

    def watch(self, fd: int, callback: Callable[[], None] | None) -> bool:
        """Call back when `fd` can be read, or, given None, no longer; False if the loop cannot do that."""

    def call_after(self, delay: float, fn: Callable[..., object], *args: Any) -> None:
        """Call `fn` from the loop after some seconds. May be called in the tick handler."""

    def look_soon(self) -> None:
        """Have the next tick come early: the G that is about to be resumed may still be blocked."""

    def undelivered(self, g: G, exc: BaseException) -> None:
        """Take back an exception that the step of `g` ended without having met."""

    def kept_back(self, g: G) -> None:
        """Note that a step of `g` was left in its hold."""

    def forked(self) -> None:
        """Forget that the loop runs: this is a forked child."""

    def post(self, fn: Callable[..., object], *args: Any) -> None:
        """Call `fn` from the loop soon. May be called in a signal handler."""
