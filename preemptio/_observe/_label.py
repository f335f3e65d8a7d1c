"""Labels: whose CPU time a G uses, in the program's own words, such as the route of a request.

Problem. CPU per task says nothing in a service: a request is a task, and there are a million of them. What does not
work: the task's name, which servers give, and by number; an argument of `go`, which the tasks of a server are not
started by, and which is asked for before the route is known.

What we do. A context variable, as Go's profiler labels: it is set in the middle of a task, and tasks that are started
below have it, too. It is read when CPU time is charged, which is at ticks, from the context of the step. A step pays
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

LABEL: Final = ContextVar("preemptio_label", default="")

LABELS: Final = 1000
"""Labels that are counted apart on one loop."""

OTHER: Final = "(other)"
"""Stands for the rest: a label that holds an id would need memory without bound, here and where it is exported to."""


@contextmanager
def label(name: str) -> Iterator[None]:
    """Put the CPU time of a task to a name of yours, for the length of a `with`; also of the tasks it starts there.

    Args:
        name: one of a small set, such as the pattern of a route, not the path. Beyond 1000 names on a loop the rest
            is counted together, as "(other)".

    Raises:
        TypeError: the name is no text.

    Context: in a task. `runtime.metrics().cpu` has the seconds, if metrics are enabled.

    Source: Go's pprof.Do.

    Example:
        >>> import preemptio
        >>> from preemptio import runtime
        >>> async def main():
        ...     runtime.enable_metrics()
        ...     with runtime.label("GET /report"):
        ...         await preemptio.go(sum, range(5_000_000))
        ...     return runtime.metrics().cpu.keys() <= {"", "GET /report"}
        >>> preemptio.run(main())
        True
    """
    if not isinstance(name, str):
        msg = f'label() takes a text, not {name!r}: with runtime.label("GET /report"): ...'
        raise TypeError(msg)
    token = LABEL.set(name)
    try:
        yield
    finally:
        LABEL.reset(token)
