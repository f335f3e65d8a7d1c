"""Keeping the garbage collector away from what must be short, or in one piece.

A collection may begin wherever an object is made. It runs finalizers, which change what is being looked at, and takes a
second for ten million objects. One that became due meanwhile runs afterwards.

Context: any thread. The switch is the process's, so the others' collections wait, too.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Let no collection begin inside of the block."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
