"""The end of the process while loops run in daemon threads: each is made to stand still before the interpreter goes.

Problem. When the interpreter ends, a daemon thread goes on until it asks for the GIL. Before CPython 3.14 it is ended
there by pthread_exit, which unwinds its stack, C++ destructors included. A loop's thread is mostly in a greenlet, whose
frames are C++ and give back references to objects: without the GIL, in an interpreter that is being taken apart. The
process ends with SIGSEGV, after it has done all that it had to do.

What does not work. To stop the loops: their programs would go on after `run_forever`, with their clean-up, in an
interpreter that ends. To end the greenlets: a program's `finally` may compute for ever.

What we do. When everything else is over, each such loop is asked to come to its hub, which is no greenlet with C++
below it, and waits there for a lock that nobody releases. It will never ask for the GIL again. From 3.14 on the
interpreter does that itself, at whatever place the thread is.

A thread that does not come in time - it is in a C call, or computes where there is no tick - meets the end as before.

Context: `halt_others` in the main thread, as the last of atexit's callbacks; the rest in a loop's thread.
"""

from __future__ import annotations

import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from preemptio._aio._inspect import LOOPS
from preemptio._compat import RELEASE
from preemptio._core._parked import Parked

if TYPE_CHECKING:
    from preemptio._aio._runtime import RuntimeLoop

NEEDED: Final = RELEASE < (3, 14)

LIMIT: Final = 1.0
"""Seconds that all of them are given together."""


def halt_others() -> None:
    """Have the loops of other threads stand still. Registered at import, so that all who register later come before."""
    here = threading.get_ident()
    threads = sys._current_frames()
    others = [loop for loop in list(LOOPS) if loop._running_since is not None and loop._thread != here]
    halted = threading.Semaphore(0)
    asked = [loop for loop in others if NEEDED and loop._thread in threads]
    for loop in asked:
        loop.post(partial(_come, loop, halted))
    end = time.monotonic() + LIMIT
    for _ in asked:
        halted.acquire(timeout=max(0.0, end - time.monotonic()))


def _come(loop: RuntimeLoop, halted: threading.Semaphore) -> None:
    """Stand still in the hub. Callbacks run there, or on a carrier: then that is sent back to it."""
    p = loop._p
    if p.carrier is None:
        _stand_still(halted)
    p.settled = partial(_stand_still, halted)
    p.attention = True
    nobody: Parked = Parked(None, None, None, None, None, killed=True)  # type: ignore[arg-type]
    loop.enqueue(nobody)


def _stand_still(halted: threading.Semaphore) -> None:
    """Wait for a lock that is never released, and that this frame keeps alive."""
    for_ever = threading.Lock()
    for_ever.acquire()
    halted.release()
    for_ever.acquire()
