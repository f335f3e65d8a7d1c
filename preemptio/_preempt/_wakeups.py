"""The interpreter's wake-up descriptor while the tick is on: ticks stay here, every other signal goes on to the loop.

Problem. The interpreter writes a byte per signal into one descriptor, the loop's (uvloop's always, asyncio's from the
first `add_signal_handler`). A tick is a signal: a thousand times a second the loop finds something to read that is
nothing, and cannot be seen to be quiet. In one long C call nobody reads, asyncio's socket holds 278 of them, and
whatever signal comes then is lost.

What we do. A pipe of ours takes the bytes: it holds 65,536. The tick handler reads it and passes on what is not a
tick; the loop watches it as well, for the signal that comes while it sleeps. If even the pipe was full - a C call of
minutes - or the loop's descriptor is, that is told of: a byte that did not fit may have been another signal's.

Invariants. Only while the loop wants the bytes itself: where nobody asked for them nobody gets them. Between two
descriptors there is never a moment with none, so no byte is lost. What another party sets meanwhile stays set, until
the next look (`take`) puts us before it.

Context: `drain` in the tick handler and as the loop's reader; the rest in the loop's thread, which is the main thread.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Final

CHUNK: Final = 512
NOBODY: Final = -1
ROOM: Final = 65_536
"""Bytes that a pipe holds where it cannot be asked: Linux's and macOS's default."""

Watch = Callable[[int, Callable[[], None] | None], bool]
"""Have the loop call back when a descriptor can be read, or, given None, no longer; False if the loop cannot."""


def room_of(pipe: int) -> int:
    """Return how many bytes a pipe holds: fewer than usual, where a user has many of them."""
    import fcntl  # not on Windows, where there are no ticks

    ask = getattr(fcntl, "F_GETPIPE_SZ", None)
    return ROOM if ask is None else fcntl.fcntl(pipe, ask)


class Wakeups:
    """One ticker's place between the interpreter and its loop."""

    def __init__(self, watch: Watch, lost: Callable[[str, int], None]) -> None:
        """Start with nothing taken. `lost` is told what was full, and how many bytes waited there."""
        self._watch = watch
        self._lost = lost
        self._watched = False
        self._tick = b""
        self._room = ROOM  # bytes that the pipe holds
        self._read = self._write = NOBODY
        self._loops = NOBODY  # where the bytes went before, and where those of others go

    def take(self, tick: int) -> None:
        """Stand before the loop's descriptor, if it has one. `tick`: the number of the tick's signal."""
        if self._write == NOBODY:
            self._read, self._write = os.pipe()
            os.set_blocking(self._read, False)
            os.set_blocking(self._write, False)
            self._room = room_of(self._write)
        self._tick = bytes((tick,))
        before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        if before == self._write:
            return
        if before == NOBODY or not self._watching():
            signal.set_wakeup_fd(before, warn_on_full_buffer=False)
            before = NOBODY
        self._loops = before

    def _watching(self) -> bool:
        if not self._watched:
            self._watched = self._watch(self._read, self.drain)
        return self._watched

    def drain(self) -> None:
        """Read what came; pass on what is not a tick."""
        waited = 0
        while self._loops != NOBODY:
            try:
                came = os.read(self._read, CHUNK)
            except OSError:  # nothing; or the loop has just ended
                break
            waited += len(came)
            others = came.translate(None, self._tick)
            if others:
                self._pass_on(others)
            if len(came) < CHUNK:
                break
        if waited >= self._room:
            self._lost("pipe", waited)

    def _pass_on(self, others: bytes) -> None:
        try:
            passed = os.write(self._loops, others)
        except OSError:  # full: the loop will wake up anyway, but not learn which signals these were
            passed = 0
        if passed < len(others):
            self._lost("loop", len(others))

    def give_back(self) -> None:
        """Leave: the loop ends to run."""
        if self._write == NOBODY:
            return
        before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        theirs = self._loops if before == self._write else before
        signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        self.drain()
        if self._watched:
            self._watch(self._read, None)
        os.close(self._read)
        os.close(self._write)
        self._forget()

    def abandon(self) -> None:
        """Leave the parent's pipe to the parent. In the forked child."""
        if self._write != NOBODY:
            with contextlib.suppress(ValueError):  # not the main thread
                before = signal.set_wakeup_fd(NOBODY)
                if before != self._write:
                    signal.set_wakeup_fd(before, warn_on_full_buffer=False)
            self._forget()

    def _forget(self) -> None:
        self._read = self._write = self._loops = NOBODY
        self._watched = False
