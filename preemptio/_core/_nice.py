"""nice: a G's weight among those that compute, for the length of a block. What it starts inherits it (`_accounts.py`).

Context: the G's own code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from preemptio._core._accounts import INHERIT

if TYPE_CHECKING:
    from preemptio._core._g import G


def renice(g: G, nice: int) -> None:
    """Give a G another weight."""
    g.extra().nice = nice
    if nice:
        INHERIT[:] = [True]


@contextmanager
def niced(g: G | None, nice: int | None) -> Iterator[None]:
    """Give a G another weight until the block ends; None for either changes nothing."""
    if g is None or nice is None:
        yield
        return
    before = g.nice
    renice(g, nice)
    try:
        yield
    finally:
        renice(g, before)
