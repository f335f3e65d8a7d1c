"""Room on the stack: leaving a carrier must not fail half-way.

Near the recursion limit a call of the runtime's own may raise RecursionError between two lines that belong together.
So before anything is changed the depth that the way out may need is tried, and refused if it is not there.

Context: on a carrier, in a G's step. A microsecond; only on the way to a switch.
"""

from __future__ import annotations

from typing import Final

FRAMES: Final = 24
"""Python frames that leaving a carrier may need: about twice what it does need."""


class CannotLeaveError(RuntimeError):
    """The carrier must not be left here, whoever asks: in the garbage collector, or in a child greenlet."""


class NoRoomError(RecursionError):
    """There is no room on the stack to leave the carrier; nothing was changed."""


def _descend(frames: int) -> None:
    if frames:
        _descend(frames - 1)


def require_headroom() -> None:
    """Raise NoRoomError now rather than RecursionError later."""
    try:
        _descend(FRAMES)
    except RecursionError:
        msg = "too close to the recursion limit to give way"
        raise NoRoomError(msg) from None
