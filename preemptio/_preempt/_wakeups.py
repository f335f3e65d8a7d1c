"""The interpreter's wake-up descriptor while the tick is on: ticks stay here, every other signal goes on to the loop.

Problem. The interpreter writes a byte per signal into one descriptor, the loop's (uvloop's always, asyncio's from the
first `add_signal_handler`). A tick is a signal: a thousand times a second the loop finds something to read that is
nothing, and cannot be seen to be quiet. In one long C call nobody reads, asyncio's socket holds 278 of them, and
whatever signal comes then is lost.

What we do. A pipe of ours takes the bytes: it holds 65,536. The tick handler reads it and passes on what is not a
tick; the loop watches it as well, for the signal that comes while it sleeps.

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

Watch = Callable[[int, Callable[[], None] | None], bool]
"""Have the loop call back when a descriptor can be read, or, given None, no longer; False if the loop cannot."""


class Wakeups:
    """One ticker's place between the interpreter and its loop."""

    def __init__(self, watch: Watch) -> None:
        """Start with nothing taken."""
        self._watch = watch
        self._watched = False
        self._tick = b""
        self._read = self._write = NOBODY
        self._loops = NOBODY  # where the bytes went before, and where those of others go

    def take(self, tick: int) -> None:
        """Stand before the loop's descriptor, if it has one. `tick`: the number of the tick's signal."""
        if self._write == NOBODY:
            self._read, self._write = os.pipe()
            os.set_blocking(self._read, False)
            os.set_blocking(self._write, False)
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
        while self._loops != NOBODY:
            try:
                came = os.read(self._read, CHUNK)
            except OSError:  # nothing; or the loop has just ended
                return
            others = came.translate(None, self._tick)
            if others:
                with contextlib.suppress(OSError):  # full: the loop will wake up anyway
                    os.write(self._loops, others)
            if len(came) < CHUNK:
                return

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
