"""Carrier: a greenlet that runs task steps (Go's M).

Problem. A step that computes too long must be set aside in the middle of its C and Python frames, and the loop
must go on. Coroutines cannot do that: they can only stop at an await. A thread can, and pays for it at every turn.

What does not work. A greenlet per task costs a switch pair and a microsecond a step. A greenlet per step as well.

What we do. Steps run one after the other on one carrier, in batches: one switch pair a batch. Only when a step is
preempted does its carrier stay behind with it, and the next batch gets a fresh one from the pool. So the number of
carriers is one more than the number of parked steps, and a program whose steps are short uses one for ever.

Child greenlets. A step may make greenlets of its own and switch to them from later steps (SQLAlchemy's asyncio,
greenback). A child keeps the carrier that it was born on as its parent, and returns there, while another carrier runs
the step by now. So a carrier that is woken although the hub did not wake it passes on what it got to the carrier that
runs: to the child it looks as if its parent had moved along with the step. The same for the context: greenback gives
its child what the carrier has on which the portal was made.

Invariants. A carrier goes back only to its hub, the greenlet that runs the base loop; its greenlet parent is the
hub as well, so that what kills the carrier (KeyboardInterrupt, SystemExit) arrives there. `detached` is true from
the moment that its step was parked until that step ends: then the carrier must not take another step, because
another carrier owns the queue meanwhile.

Context: `run` and `leave` on the carrier, the rest in the hub; always the loop's thread.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from greenlet import greenlet

if TYPE_CHECKING:
    from preemptio._core._processor import Processor


_next_id: Final = itertools.count(1).__next__

_context: Final = greenlet.gr_context.__get__

POOL: Final = 16
"""Idle carriers kept. One serves a program without hogs; each costs a few KB, and 8 us to make anew."""


class Carrier(greenlet):  # type: ignore[misc]  # greenlet ships no types
    """A greenlet of one processor's pool."""

    __slots__ = ("detached", "hub", "id", "p", "preempt_gen")

    def __init__(self, p: Processor) -> None:
        """Make a carrier that has not run yet; the first switch to it starts `run`."""
        super().__init__()
        self.id = _next_id()  # of this process; for those who look
        self.p = p
        self.hub: greenlet = p.hub  # and its parent, since carriers are made in the hub; writer: adopt
        self.detached = False  # writer: Processor._stand (True), run (False)
        self.preempt_gen = 0  # attempts to preempt what runs here, refused ones included; writer: the tick

    @property
    def gr_context(self) -> object:
        """The context of the carrier that runs, whichever is asked: its own is another step's by now, or none's."""
        running = self.p.carrier
        return _context(self if running is None else running)

    def __bool__(self) -> bool:
        """Be true when it has ended, too: SQLAlchemy asserts its greenlet's parent, and the hub stands in for that."""
        return True

    def run(self) -> None:
        """Drain batches until the pool is full or the processor ends."""
        p = self.p
        drain, idle = p.host.drain, p.idle
        while True:
            if p.batch_began is not None:
                p.batch_began()
            drain(self)
            if self.detached:
                self.detached = False
                p.blocked_contexts.left(p.step)
                if len(idle) >= POOL:
                    p.carrier = None
                    return
            idle.append(self)
            p.carrier = None
            self.leave()

    def leave(self) -> None:
        """Switch to the hub; return when the hub gives the CPU to this carrier, or raise what is thrown into it."""
        p = self.p
        switch, got = self.hub.switch, None
        while True:
            try:
                got = switch(got)
            except BaseException as exc:
                running = p.carrier
                if running is None or running is self:
                    raise
                switch, got = running.throw, exc
            else:
                running = p.carrier
                if running is self:
                    return
                switch = running.switch  # type: ignore[union-attr]  # the hub wakes nobody else without naming it

    def give(self, target: greenlet) -> None:
        """Switch to `target`, on this carrier, until the carrier has come back by itself: `p.carrier` is None then.

        Something else may arrive here meanwhile: what a child greenlet passes to its parent, if that carrier has
        ended and the hub has inherited it. It belongs to the carrier that runs. In the hub.
        """
        try:
            got = target.switch()
        except BaseException as exc:
            if self.dead or self.p.carrier is None:
                raise
            self._pass_on(self.throw, exc)
        else:
            if self.p.carrier is not None:
                self._pass_on(self.switch, got)

    def _pass_on(self, switch: Callable[[Any], Any], got: object) -> None:
        while True:
            try:
                got = switch(got)
            except BaseException as exc:
                if self.dead or self.p.carrier is None:
                    raise
                switch, got = self.throw, exc
            else:
                if self.dead or self.p.carrier is None:
                    return
                switch = self.switch

    def adopt(self, hub: greenlet) -> None:
        """Make `hub` the greenlet that this carrier goes back to."""
        self.hub = hub
        self.parent = hub  # type: ignore[misc]  # greenlet's own attribute
