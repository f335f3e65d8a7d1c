"""The instrument that writes into the ring.

Problem. It is told of every step, so its own cost is the price of having the recorder on.

What we do. A step is one record, written when it ends; what began and has not ended yet stands in two fields, which a
snapshot reads. Why a task waits is read from its await chain, which costs some microseconds: so it is asked when the
wait is over and was longer than `ASKED`, while the chain still stands. Who still waits when a snapshot is made is asked
then.

A step that has begun before the recorder came has no end that anybody tells of. It ends with the turn of the loop, or
when another starts.

Context: as for any instrument; `refused` in the tick handler, `gc_*` in the collector. So every record is written
by taking a slot, which cannot be interrupted, and filling it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import CodeType
from typing import TYPE_CHECKING, Final

from preemptio._aio._waiting import awaited
from preemptio._core._instruments import Instrument
from preemptio._core._reasons import PreemptKind, Verdict, WaitReason
from preemptio._observe._trace import _records as records
from preemptio._observe._trace._records import KIND_NUMBER, VERDICT_NUMBER, WAIT_NUMBER
from preemptio._observe._trace._ring import G_NAME, RECORD, SIZE, Chunk, Ring

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._processor import Processor

ASKED: Final = 1_000_000
"""Nanoseconds of a wait from which on it is asked what it was for."""

NEVER: Final = 1 << 62

_clock: Final = time.perf_counter_ns
_pack: Final = RECORD.pack_into


class Recorder(Instrument):
    """What one loop does, in the memory of a ring."""

    def __init__(self, p: Processor, ring: Ring, slow: int, tell_slow: Callable[[G, int], None]) -> None:
        """Record the processor's doings; `tell_slow` is called when a slice took `slow` nanoseconds or more."""
        self._p = p
        self._ring = ring
        self._slow = slow
        self._tell_slow = tell_slow
        self.began = _clock()
        self._g = p.curg  # who runs now, as far as we were told
        self._since = self.began if self._g is not None else 0  # since when; 0: nobody
        self._gc_since = 0
        self._turn_since = 0
        self._pause_since = 0

    def running(self) -> tuple[G, int] | None:
        """Return who runs and since when. Any thread."""
        g, since = self._g, self._since
        return (g, since) if g is not None and since else None

    def forked(self) -> None:
        """Begin anew: what was recorded is the parent's."""
        self._ring.clear()
        self.began = _clock()
        self._since = self._turn_since = self._gc_since = self._pause_since = 0

    # -- the hot ones --

    def started(self, g: G) -> None:
        now = _clock()
        if self._since:
            self._close(now)
        self._g = g
        self._since = now

    def stopped(self, g: G, kind: PreemptKind | None) -> None:
        now = _clock()
        since = self._since or now
        self._since = 0
        chunk = self._ring.current
        slot = chunk.take()
        while slot >= chunk.limit:
            chunk = self._ring.next(chunk, now)
            slot = chunk.take()
        known = chunk.known
        if g.id not in known:
            self._meet(chunk, g)
        known[g.id] = now
        carrier = self._p.carrier
        sub = 0 if kind is None else KIND_NUMBER[kind]
        number = 0 if carrier is None else carrier.id
        _pack(chunk.cells, slot * SIZE, records.SLICE, sub, g.status, number, g.id, since, now - since)
        if now - since >= self._slow:
            self._tell_slow(g, now - since)

    def readied(self, g: G, by: G | None) -> None:
        now = _clock()
        chunk = self._ring.current
        slot = chunk.take()
        while slot >= chunk.limit:
            chunk = self._ring.next(chunk, now)
            slot = chunk.take()
        sub = 0
        if by is not g and now - chunk.known.get(g.id, 0 if g.slices else now) > ASKED:
            sub = WAIT_NUMBER[_what(g)]
        _pack(chunk.cells, slot * SIZE, records.READY, sub, 0, 0, g.id, now, 0 if by is None else by.id)

    # -- the others --

    def created(self, g: G) -> None:
        by = self._p.curg
        self.put(records.CREATED, g=g, x=0 if by is None else by.id, code=g.site_code, lasti=g.site_lasti)

    def refused(self, g: G, verdict: Verdict, code: CodeType, lasti: int) -> None:
        self.put(records.REFUSED, VERDICT_NUMBER[verdict], g=g, code=code, lasti=lasti)

    def turn_began(self) -> None:
        self._turn_since = _clock()

    def turn_ended(self) -> None:
        now, since = _clock(), self._turn_since
        self._turn_since = 0
        if self._since:
            self._close(now)
        if since:
            self.put(records.TURN, t=since, x=now - since)

    def suspended(self, g: G, seconds: float) -> None:
        self.put(records.HELD, g=g, x=int(seconds * 1e9))

    def released(self, g: G) -> None:
        self.put(records.RELEASED, g=g)

    def world_stopped(self, reason: str, stopping: float) -> None:
        now = _clock()
        self._pause_since = now - int(stopping * 1e9)
        self.put(records.STOPPING, t=self._pause_since, x=now - self._pause_since, text=str(reason) or "?")

    def world_started(self, reason: str, total: float) -> None:
        now = _clock()
        since = self._pause_since or now - int(total * 1e9)  # 0: it stood already when the recorder came
        self._pause_since = 0
        self.put(records.PAUSE, t=since, x=now - since, text=str(reason) or "?")

    def gc_began(self, generation: int) -> None:
        self._gc_since = _clock()

    def gc_ended(self, generation: int) -> None:
        since, self._gc_since = self._gc_since, 0
        if since:
            self.put(records.GC, generation, t=since, x=_clock() - since)

    def note(self, kind: int, g: G | None, text: str) -> None:
        """Record what the program says of itself: REGION, REGION_END or LOG."""
        self.put(kind, g=g, text=text or "?")

    def put(
        self,
        kind: int,
        sub: int = 0,
        *,
        g: G | None = None,
        t: int = 0,
        x: int = 0,
        text: str = "",
        code: CodeType | None = None,
        lasti: int = 0,
    ) -> None:
        """Write one record of any kind."""
        now = _clock()
        chunk = self._ring.current
        slot = chunk.take()
        while slot >= chunk.limit:
            chunk = self._ring.next(chunk, now)
            slot = chunk.take()
        number = chunk.text(text, lambda: text) if text else chunk.place(code, lasti)
        # A task that was just made has no name yet, up to CPython 3.12.
        if g is not None and kind != records.CREATED and g.id not in chunk.known:
            self._meet(chunk, g)
        _pack(chunk.cells, slot * SIZE, kind, sub, 0, number, 0 if g is None else g.id, t or now, x)

    def _meet(self, chunk: Chunk, g: G) -> None:
        """Say who a G is, the first time that a chunk has to do with it."""
        try:
            name = g.name
        except Exception:  # the task's class is the user's
            name = f"G-{g.id}"
        chunk.define(G_NAME, g.id, chunk.place(g.site_code, g.site_lasti), name)
        chunk.known[g.id] = 0

    def _close(self, now: int) -> None:
        """End a step whose end nobody tells of."""
        g, since, self._since = self._g, self._since, 0
        if g is None:
            return
        self.put(records.SLICE, g=g, t=since, x=now - since)


def _what(g: G) -> WaitReason:
    """Say what a G has waited for, that was just made runnable and has not gone on yet."""
    if g._extra.parked is not None:
        return WaitReason.WAIT
    try:
        return awaited(g.task)
    except Exception:  # what it awaits is the user's
        return WaitReason.AWAIT
