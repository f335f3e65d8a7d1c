"""suspend_g: bring a G to a safe point and keep it there, for whoever wants to read its stack. Go's suspendG.

Problem. A G can be read when it does not run. Most of the time most of them do not, and then to suspend one is to set
the scan bit. One that runs has to be stopped first, and who asks may be a thread, or a task whose own step is inside
that of the G: an eager task.

What does not work. Go's loop: look at the status, ask, yield the processor, look again. A task that looks again and
again keeps the very thread busy on which the G must reach its safe point.

What we do. A request that cannot be granted at once is kept, and looked at again when a step was stopped: the running
G is asked by its guard, at once, and by every tick, which finds the request and stops the G for good (PREEMPTED)
rather than for its turn. The tick comes while steps run, so nobody has to send one. What asks is told when it has
been granted, and may withdraw until then: a G that was stopped in vain goes on.

Two that suspend each other. A G waits here only for one that runs; by the time that one asks in its turn, the first
does not run, and is held at once. Then the first's request must not be granted any more, or each would hold the other:
a request of a G that is held is kept until that G is let go.

An eager task that asks for the very G inside whose step it runs: to stop that step would stop the one who asks, and he
could not let it go again. His request is kept until he has left the step.

Invariants.
  S1  Holds begin and end in the loop's thread only. Other threads put requests into `inbox` and are told.
  S2  A request is granted once, withdrawn once, or neither: `_decided` is written under `_lock`.
  S3  While a request is kept, `p.settled` is set, and the running G that it is about has `preempt_stop`.
  S4  A G in PREEMPTED has a request that can be granted, or is let go by the next look.

Context: `ask`, `examine` and `let_go` in the loop's thread, outside of steps or in one; `wanted` in the tick handler;
`inbox` in any thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from preemptio._core._gstatus import DEAD, PREEMPTED
from preemptio._core._hold import Hold, claim, release

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._processor import Processor


class Request:
    """Somebody's wish to suspend a G."""

    __slots__ = ("_decided", "_lock", "asked", "by", "g", "hold", "inside", "tell")

    def __init__(self, g: G, by: G | None, tell: Callable[[Exception | None], None] | None = None) -> None:
        """Ask for `g`, in the name of the G `by`, if it is one; `tell` is called when it has been decided."""
        self.g = g
        self.by = by
        self.inside: G | None = None  # in whose step `by` asked, if not in its own; writer: ask
        self.tell = tell
        self.asked = time.perf_counter()
        self.hold: Hold | None = None  # None as well if the G was dead
        self._decided = False
        self._lock = threading.Lock()

    def decide(self) -> bool:
        """Grant or withdraw it: report whether this caller was the first."""
        with self._lock:
            decided, self._decided = self._decided, True
        return not decided

    @property
    def decided(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._decided


class Suspends:
    """The requests to suspend Gs of one processor."""

    def __init__(self, p: Processor) -> None:
        """Start with no requests."""
        self._p = p
        self.inbox: deque[Request] = deque()  # from other threads
        self._kept: list[Request] = []
        self._closed: Exception | None = None

    def ask(self, request: Request) -> bool:
        """Grant a request now, or keep it; report whether it was granted."""
        curg = self._p.curg
        request.inside = None if curg is request.by else curg
        if self._grant(request):
            return True
        self._kept.append(request)
        self._watch()
        return False

    def examine(self) -> None:
        """Look at every request again: something has stopped, or a thread has asked. Outside of steps."""
        while self.inbox:
            self._kept.append(self.inbox.popleft())
        kept, self._kept = self._kept, []
        for request in kept:
            if self._closed is not None:
                self._fail(request, self._closed)
            elif not self._grant(request):
                self._kept.append(request)
        self._watch()
        for request in kept:
            self._let_go_unwanted(request.g)

    def wanted(self, g: G) -> bool:
        """Report whether the running `g` is to be stopped for somebody. In the tick handler."""
        if not self.inbox and not self._kept:
            return False
        return any(self._asks_for(g, each) for each in (*self._kept, *tuple(self.inbox)))

    def let_go(self, g: G, hold: Hold | None) -> None:
        """Give back a share of a hold. In the loop's thread."""
        if hold is not None:
            release(self._p, g, hold)
            if self._kept:  # who asked and was held itself may be granted now
                self.examine()

    def close(self, why: Exception) -> None:
        """Refuse whatever is asked from now on: the loop is closed. What was asked is refused as well."""
        self._closed = why
        self.examine()

    def _asks_for(self, g: G, request: Request) -> bool:
        return request.g is g and not request.decided and not self._must_wait(request)

    def _must_wait(self, request: Request) -> bool:
        """Report whether who asks is held himself, or still runs inside the step of the G that he asks for."""
        by = request.by
        return by is not None and (by.suspended or (request.inside is request.g and self._p.host.runs(by)))

    def _grant(self, request: Request) -> bool:
        """Decide a request if it can be; report whether it was."""
        g = request.g
        if request.decided:
            return True
        if self._must_wait(request):
            self._p.attention = True  # look again when this step has ended
            return False
        if g.status is not DEAD:
            if self._p.host.runs(g):
                self._stop(g)
                return False
            request.hold = claim(self._p, g)
            if request.hold is None:
                self._stop(g)
                return False
        if not request.decide():  # withdrawn at this moment
            self.let_go(g, request.hold)
            return True
        instruments = self._p.instruments
        if request.hold is not None and instruments.suspended:
            instruments.tell(instruments.suspended, g, time.perf_counter() - request.asked)
        if request.tell is not None:
            request.tell(None)
        return True

    def _fail(self, request: Request, why: Exception) -> None:
        if request.decide() and request.tell is not None:
            request.tell(why)

    def _stop(self, g: G) -> None:
        """Ask a running G to stop for good at its next safe point."""
        g.extra().preempt_stop = True
        if self._p.curg is g:
            self._p.request(g)
        else:  # it is inside somebody's step: look when that step has ended
            self._p.attention = True

    def _watch(self) -> None:
        self._p.settled = self.examine if self._kept else None

    def _let_go_unwanted(self, g: G) -> None:
        """Let a G go on that has stopped, or would stop, for a request that cannot be granted, or was withdrawn."""
        if g._extra.preempt_stop and not any(self._asks_for(g, each) for each in self._kept):
            g.extra().preempt_stop = False
            if g.status is PREEMPTED:
                hold = claim(self._p, g)
                assert hold is not None
                release(self._p, g, hold)
