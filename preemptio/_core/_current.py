"""The processor of the current thread: how a synchronous function finds its runtime.

A thread-local and not a context variable: it belongs to the loop that runs, and a G's context may be anything.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._processor import Processor


class _Current(threading.local):
    p: Processor | None = None


_current = _Current()


def current_processor() -> Processor | None:
    """Return the processor whose loop runs in this thread, or None. Any context; costs an attribute read."""
    return _current.p


def set_current_processor(p: Processor | None) -> Processor | None:
    """Make `p` this thread's processor and return the one before. Called when a loop starts and stops running."""
    before = _current.p
    _current.p = p
    return before


def current_g() -> G | None:
    """Return the G that runs in this thread, or None outside a step (a plain callback, no runtime, no loop)."""
    p = _current.p
    return None if p is None or p.curg is None else p.innermost_g()
