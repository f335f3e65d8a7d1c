"""What a program says of itself in a trace: regions and messages.

Context: the loop's thread; elsewhere, and where nothing is recorded, they do nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from preemptio._core._current import current_g, current_processor
from preemptio._observe._trace import _records as records
from preemptio._observe._trace._flight import Flight

if TYPE_CHECKING:
    from preemptio._core._g import G


def _note(kind: int, g: G | None, text: str) -> None:
    p = current_processor()
    if p is not None:
        for each in p.instruments:
            if isinstance(each, Flight):
                each.note(kind, g, text)


class region:  # noqa: N801 - used like a function
    """Name what the code in a `with` block does: a span of its task in the trace, across awaits.

    Args:
        name: what to call it; the same for the same work, with no numbers in it.

    Context: any. Costs a microsecond while it is recorded.

    Source: Go's runtime/trace.WithRegion.

    Example:
        >>> import preemptio
        >>> from preemptio import trace
        >>> async def main():
        ...     with trace.region("load"):
        ...         pass
        >>> preemptio.run(main())
    """

    __slots__ = ("_g", "_name")

    def __init__(self, name: str) -> None:
        """Take the name."""
        self._name = name

    def __enter__(self) -> Self:
        self._g = current_g()
        _note(records.REGION, self._g, self._name)
        return self

    def __exit__(self, *_: object) -> None:
        _note(records.REGION_END, self._g, self._name)


def log(message: str) -> None:
    """Put a message into the trace, where the task that runs is.

    Args:
        message: at most 500 bytes of it are kept.

    Context: any. Costs a microsecond while it is recorded.

    Source: Go's runtime/trace.Log.

    Example:
        >>> from preemptio import trace
        >>> trace.log("no loop runs here, so this goes nowhere")
    """
    _note(records.LOG, current_g(), message)
