"""The table of Gs: one list of columns, for the console and for the page.

Problem. Whoever asks may ask while the loop is stuck, so nothing here goes through the loop. There may be 500 tasks or
100,000, and somebody who looks every second must not cost the program its CPU.

What we do. A row is made of what the G's record has anyway. Only the rows that are shown are made: those to show are
chosen by the column that they are sorted by, which is one look at each G. What a G waits for is read from its await
chain, which is the dearest, so it is asked for what is shown only.

Invariants. No G is made here: the loop may be about to, in its own thread. Whatever is wrong with one task - a class of
its own whose methods raise - is said in its row, and the others are shown.

Context: any thread.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from preemptio._aio._inspect import gs_of
from preemptio._core._gstatus import LEAKED, SYSCALL, WAITING
from preemptio._observe._metrics import STATUSES
from preemptio._observe._snapshot import flags_of

if TYPE_CHECKING:
    from preemptio._core._g import G

Value = str | int | float


@dataclass(frozen=True, slots=True)
class Column:
    """One column: how it is called, what it says, and how it is read of a G."""

    name: str
    """What is typed behind `--sort`."""
    title: str
    doc: str
    read: Callable[[G], Value]
    largest_first: bool = False
    """Whether sorting by it shows the largest first."""
    unit: str = ""
    """Of a number: "s" for seconds; else it is a count."""


def _age(g: G) -> float:
    return time.monotonic() - g.last_run if g.slices else 0.0


def _waits(g: G) -> str:
    if g.parked and g._extra.waiting_on is None:  # stopped in the middle of a step, and held
        return ""
    return str(g.wait_reason) if g.status.base in (WAITING, LEAKED, SYSCALL) else ""


def _flags(g: G) -> str:
    told = (each for each in flags_of(g) if not each.startswith(("nice ", "suspended")))  # in columns of their own
    return ", ".join((*("parked",) * g.parked, *told))


def status_of(g: G) -> str:
    """Return the status; of one that somebody holds, that."""
    return "suspended" if g.suspended else str(g.status.base)


COLUMNS: Final = (
    Column("id", "G", "number of the G: what commands take", lambda g: g.id),
    Column("name", "NAME", "the task's name", lambda g: g.name),
    Column("status", "STATUS", "what it does now; `suspended` if somebody holds it", status_of),
    Column("waits", "WAITS FOR", "what a G that waits waits for", _waits),
    Column("age", "AGE", "time since it last got the CPU", _age, largest_first=True, unit="s"),
    Column("cpu", "CPU", "CPU time that it has used", lambda g: g.cpu_time, largest_first=True, unit="s"),
    Column("slices", "SLICES", "how often it got the CPU", lambda g: g.slices, largest_first=True),
    Column(
        "preempted",
        "PREEMPTED",
        "how often the CPU was taken from it",
        lambda g: sum(g._extra.preemptions.values()),
        largest_first=True,
    ),
    Column(
        "refused",
        "REFUSED",
        "how often it could not be stopped when it should have been; gwhy says why",
        lambda g: sum(g._extra.refusals.values()),
        largest_first=True,
    ),
    Column("nice", "NICE", "its weight: each step of +1 is a fifth less CPU beside others", lambda g: g.nice),
    Column("created", "CREATED AT", "the line that has made the task", lambda g: g.created_at),
    Column("flags", "FLAGS", "what is unusual about it now", _flags),
)
BY_NAME: Final = {column.name: column for column in COLUMNS}

FILTERS: Final = (*dict.fromkeys(str(status) for status in STATUSES), "suspended", "parked")
"""What may be typed behind `--status`."""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows that were asked for, and how many there are."""

    rows: tuple[dict[str, Value], ...]
    matching: int
    """Gs that match; more than there are rows if there was a limit."""
    total: int
    by_status: dict[str, int]


def table(
    loop: Any,
    *,
    status: str = "",
    match: str = "",
    sort: Column = COLUMNS[0],
    reverse: bool = False,
    limit: int = 0,
    extra: tuple[Column, ...] = (),
) -> Table:
    """Return the Gs of a loop as rows.

    Args:
        loop: a loop of preemptio.
        status: one of FILTERS; "" for all.
        match: only Gs whose name, or the place where they were made, has this in it.
        sort: a column.
        reverse: in the opposite order.
        limit: rows at most; 0 for all.
        extra: columns beside COLUMNS.
    """
    gs = gs_of(loop)
    by_status = Counter(map(status_of, gs))
    wanted = [g for g in gs if _matches(g, status, match)]
    shown = _first(wanted, sort, limit or len(wanted), largest=sort.largest_first is not reverse)
    return Table(tuple(row(g, extra) for g in shown), len(wanted), len(gs), dict(by_status))


def _first(gs: Iterable[G], column: Column, limit: int, *, largest: bool) -> list[G]:
    def key(g: G) -> tuple[Any, int]:
        return read(column, g), -g.id if largest else g.id

    return heapq.nlargest(limit, gs, key=key) if largest else heapq.nsmallest(limit, gs, key=key)


def _matches(g: G, status: str, match: str) -> bool:
    if status == "parked":
        if not g.parked:
            return False
    elif status and status_of(g) != status:
        return False
    return not match or match in str(read(BY_NAME["name"], g)) or match in g.created_at


def read(column: Column, g: G) -> Value:
    """Return what stands in one column; a task whose own code raises is as empty as can be compared."""
    try:
        return column.read(g)
    except Exception as exc:
        return f"({type(exc).__name__})" if column.name in {"name", "waits", "flags"} else 0


def row(g: G, extra: tuple[Column, ...] = ()) -> dict[str, Value]:
    """Return a G's row."""
    return {column.name: read(column, g) for column in (*COLUMNS, *extra)}


def shown(column: Column, value: Value) -> str:
    """Return a value as text."""
    if column.unit == "s" and isinstance(value, (int, float)):
        return seconds(value)
    return str(value)


def seconds(value: float) -> str:
    """Return a time in three digits or so: 0, 1.2ms, 34ms, 5.67s, 12m05s, 3h20m."""
    if value < 0.000_05:
        return "0"
    if value < 1:
        return f"{value * 1e3:.1f}ms" if value < 0.01 else f"{value * 1e3:.0f}ms"
    if value < 60:
        return f"{value:.2f}s"
    minutes, rest = divmod(int(value), 60)
    return f"{minutes}m{rest:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"
