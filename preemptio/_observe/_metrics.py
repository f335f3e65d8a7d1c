"""Metrics of a loop as a frozen record: `metrics`, `enable_metrics`, `disable_metrics`.

What the scheduler counts anyway is read when somebody asks; the rest comes from a `Meter`, if there is one. The loop
is named in each record, since exporters tell loops apart by that: the name that it was given, or the first free of
loop-1, loop-2 and so on, so that a program which makes loops one after the other does not use up names.

Context: `metrics` in any thread, if the loop is given; the others as `add_instrument`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from preemptio._aio._inspect import LOOPS, gs_of
from preemptio._aio._instruments import add_instrument, remove_instrument
from preemptio._aio._runtime import ON_START, RuntimeLoop
from preemptio._aio._world import pauses
from preemptio._config import config
from preemptio._core._gstatus import DEAD, Gstatus
from preemptio._core._reasons import PreemptKind, Verdict
from preemptio._errors import NotInstalledError
from preemptio._observe._histogram import NS, Histogram
from preemptio._observe._meter import Meter
from preemptio._observe._table import METRICS, Metric

Key = TypeVar("Key")

NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})

STATUSES: Final = (
    Gstatus.IDLE,
    Gstatus.RUNNABLE,
    Gstatus.RUNNING,
    Gstatus.SYSCALL,
    Gstatus.WAITING,
    Gstatus.PREEMPTED,
    Gstatus.LEAKED,
)
"""Those that a task can be met in: each has a value always, since a series that comes and goes is no gauge."""

_names: Final[WeakKeyDictionary[RuntimeLoop, str]] = WeakKeyDictionary()
_naming: Final = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What a loop's scheduler has done since the loop was made, and how things stand. Times are seconds.

    `now - before` is what happened in between; gauges stay as they are now. The rows of docs/metrics.md are these
    attributes, with what is sampled and how.
    """

    loop: str
    """The loop's name."""
    at: float
    """When this was read; monotonic time."""
    since: float
    """When metrics were enabled, in the same clock; 0.0: they are not, and what has to be sampled is empty."""
    steps: int
    created: int
    gs: Mapping[Gstatus, int]
    parked: int
    carriers: int
    preemptions: Mapping[PreemptKind, int]
    refusals: Mapping[Verdict, int]
    pauses: Mapping[str, int]
    cpu_of: Mapping[int, float]
    cpu: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    schedule: Histogram = field(default_factory=Histogram)
    run: Histogram = field(default_factory=Histogram)
    preempted: Histogram = field(default_factory=Histogram)
    turn: Histogram = field(default_factory=Histogram)
    loop_time: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    suspend: Histogram = field(default_factory=Histogram)
    pause_stopping: Mapping[str, Histogram] = field(default_factory=lambda: NOTHING)
    pause_total: Mapping[str, Histogram] = field(default_factory=lambda: NOTHING)

    @property
    def enabled(self) -> bool:
        """Whether what has to be sampled is measured."""
        return self.since > 0

    def values(self, row: Metric) -> Iterator[tuple[str, Any]]:
        """Go through (label, value) of one row of the table; the label is "" where a row has none."""
        value = getattr(self, row.name)
        if row.label:
            yield from ((str(key), each) for key, each in value.items())
        else:
            yield "", value

    def __sub__(self, before: Metrics) -> Metrics:
        """Return what happened since an earlier record of the same loop."""
        if before.loop != self.loop:
            msg = f"{before.loop} and {self.loop} are two loops; subtract records of the same one"
            raise ValueError(msg)
        changed: dict[str, Any] = {}
        for row in METRICS:
            now, then = getattr(self, row.name), getattr(before, row.name)
            if row.kind == "gauge" or not (row.free or self.since == before.since):  # enabled meanwhile: all is new
                continue
            changed[row.name] = _difference(now, then) if row.label else now - then
        rest = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in changed}
        return Metrics(**changed, **rest)


def _difference(now: Mapping[Key, Any], then: Mapping[Key, Any]) -> Mapping[Key, Any]:
    return MappingProxyType({key: each - then[key] if key in then else each for key, each in now.items()})


def enable_metrics(loop: asyncio.AbstractEventLoop | None = None, *, name: str = "") -> None:
    """Measure on a loop what has to be sampled. Does nothing if that is done already.

    Args:
        loop: by default the loop that runs in this thread.
        name: what exporters call the loop; by default loop-1, loop-2 and so on.

    Raises:
        NotInstalledError, RuntimeError: as `add_instrument`.
        ValueError: another loop has this name.

    Context: the loop's thread, or any while the loop does not run. `PREEMPTIO_METRICS=1` does it for every loop that
        begins to run.

    Example:
        >>> import asyncio, preemptio
        >>> from preemptio import runtime
        >>> async def main():
        ...     runtime.enable_metrics(name="main")
        ...     before = runtime.metrics()
        ...     for _ in range(2600):
        ...         await asyncio.sleep(0)
        ...     since = runtime.metrics() - before
        ...     return since.loop, since.steps, since.run.count
        >>> preemptio.run(main())
        ('main', 2600, 10)
    """
    found = loop if loop is not None else asyncio._get_running_loop()
    if isinstance(found, RuntimeLoop):
        if name:
            _give_name(found, name)
        if meter_of(found) is not None:
            return
        add_instrument(Meter(found._p), found)
    else:
        _need(found, "enable_metrics()")


def disable_metrics(loop: asyncio.AbstractEventLoop | None = None) -> bool:
    """Measure no more, and forget what was measured; report whether that was done.

    Args:
        loop: by default the loop that runs in this thread.

    Raises:
        NotInstalledError, RuntimeError: as `add_instrument`.

    Context: as `enable_metrics`.

    Example:
        >>> import preemptio
        >>> from preemptio import runtime
        >>> async def main():
        ...     runtime.enable_metrics()
        ...     print(runtime.disable_metrics(), runtime.disable_metrics())
        >>> preemptio.run(main())
        True False
    """
    found = _need(loop, "disable_metrics()")
    meter = meter_of(found)
    return meter is not None and remove_instrument(meter, found)  # type: ignore[arg-type]


def metrics(loop: asyncio.AbstractEventLoop | None = None) -> Metrics:
    """Return what the scheduler of a loop has done, and how things stand.

    Args:
        loop: by default the loop that runs in this thread.

    Returns:
        Metrics: a frozen record; `now - before` is what happened in between. It takes about a microsecond per task
            to count them by status.

    Raises:
        NotInstalledError: no loop runs in this thread, or the loop has no runtime.

    Context: any thread, if `loop` is given.

    Source: Go's runtime/metrics.

    Example:
        >>> import preemptio
        >>> from preemptio import runtime
        >>> from preemptio.lowlevel import Gstatus
        >>> async def main():
        ...     now = runtime.metrics()
        ...     return now.created, now.gs[Gstatus.RUNNING], now.enabled
        >>> preemptio.run(main())
        (1, 1, False)
    """
    found = _need(loop, "metrics()")
    p = found._p
    gs = gs_of(found)  # type: ignore[arg-type]
    by_status: dict[Gstatus, int] = dict.fromkeys(STATUSES, 0)
    for g in gs:
        status = g.status.base
        by_status[status] = by_status.get(status, 0) + 1  # it may have died meanwhile, if this is another thread
    by_status.pop(DEAD, None)
    meter = meter_of(found)
    return Metrics(
        loop=name_of(found),
        at=time.monotonic(),
        since=0.0 if meter is None else meter.since,
        steps=p.schedtick,
        created=p.ncreated,
        gs=MappingProxyType(by_status),
        parked=len(p.standing),
        carriers=len(p.idle) + len(p.standing) + (p.carrier is not None),
        preemptions=MappingProxyType(dict(p.preemptions)),
        refusals=MappingProxyType(dict(found._ticker.refusals)),
        pauses=MappingProxyType({reason: each.count for reason, each in pauses(found).items()}),  # type: ignore[arg-type]
        cpu_of=MappingProxyType({g.id: g.cpu_time for g in gs if g.cpu_time}),
        **({} if meter is None else _measured(meter)),
    )


def _measured(meter: Meter) -> dict[str, Any]:
    histograms = {name: getattr(meter, name).snapshot() for name in ("schedule", "run", "preempted", "turn", "suspend")}
    return histograms | {
        "cpu": MappingProxyType(dict(meter.cpu)),
        "loop_time": MappingProxyType({"active": meter.active * NS, "idle": meter.idle * NS}),
        "pause_stopping": MappingProxyType({why: each.snapshot() for why, each in dict(meter.stopping).items()}),
        "pause_total": MappingProxyType({why: each.snapshot() for why, each in dict(meter.total).items()}),
    }


def all_metrics() -> list[Metrics]:
    """Return the metrics of every loop that is not closed, for an exporter. Any thread."""
    return [metrics(loop) for loop in sorted(_open_loops(), key=name_of)]  # type: ignore[arg-type]


def name_of(loop: RuntimeLoop) -> str:
    """Return what exporters call a loop."""
    name = _names.get(loop)
    if name is None:
        with _naming:
            taken = _taken(loop)
            numbers = (f"loop-{n}" for n in range(1, len(taken) + 2))
            name = _names.setdefault(loop, next(each for each in numbers if each not in taken))
    return name


def _give_name(loop: RuntimeLoop, name: str) -> None:
    with _naming:
        if name in _taken(loop):
            msg = f"enable_metrics(name={name!r}): another loop is called that already; take another name"
            raise ValueError(msg)
        _names[loop] = name


def _taken(loop: RuntimeLoop) -> set[str]:
    return {_names[other] for other in _open_loops() if other is not loop and other in _names}


def _open_loops() -> list[RuntimeLoop]:
    return [loop for loop in list(LOOPS) if not loop.is_closed()]


def meter_of(loop: RuntimeLoop) -> Meter | None:
    return next((each for each in loop._p.instruments if isinstance(each, Meter)), None)


def _need(loop: object, what: str) -> RuntimeLoop:
    found = loop if loop is not None else asyncio._get_running_loop()
    if not isinstance(found, RuntimeLoop):
        msg = f"{what} needs a loop of preemptio: call it in a program started by preemptio.run(main())"
        raise NotInstalledError(msg)
    return found


def _if_asked(loop: RuntimeLoop) -> None:
    """Measure a loop that begins to run if the knob says so."""
    if config.metrics and meter_of(loop) is None:
        loop._p.instruments.add(Meter(loop._p))


ON_START.append(_if_asked)
