"""What the runtime tells the user: structlog events. The only file that imports structlog.

Library etiquette: the logger is looked up when something is said, nothing is configured, and nothing is ever logged
in a signal handler or on top of user code: callers post here through the loop.

What is said is a row of `_events.py`, with its fields. It is said in a copy of the context of the task it is about, so
that what the program has bound there - a request's id - stands in the event: a copy, because a task in the
middle of its step has entered its own. What is about no task is said in an empty one: who happened to run when it was
noticed has nothing to do with it.

A program that has not configured structlog is shown the events on standard error, laid out to be read by a human.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, MutableMapping, Sequence
from contextvars import Context
from types import CodeType
from typing import TYPE_CHECKING, Any, Final

from preemptio import _events
from preemptio._core._task_context import context_of

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._reasons import Verdict
    from preemptio._events import Event

SHORT: Final = 24
"""Characters of a value that still stands in an event's first line."""


class Repeats(dict[Hashable, int]):
    """How often something came, by where: it is said the first time, the tenth, the hundredth and so on.

    By count, not by the clock: a place that stays noisy is heard of, and a month of noise is a dozen lines.
    """

    def count(self, key: Hashable) -> int:
        """Count once more; return how often that makes, or 0 if it is not to be said."""
        times = self[key] = self.get(key, 0) + 1
        return times if times == 10 ** (len(str(times)) - 1) else 0


def make_ready() -> None:
    """Import structlog before the loop turns: the first event is about a loop that is late, and adds nothing to it."""
    import structlog  # noqa: F401


def logger() -> Any:
    """Return the library's logger: as the application configured structlog, else on standard error.

    structlog's own default is standard output, which belongs to the program's output.
    """
    import structlog

    if structlog.is_configured():
        return structlog.get_logger("preemptio").bind(logger="preemptio")
    tools = structlog.processors
    chain: list[Any] = [
        structlog.contextvars.merge_contextvars,
        tools.add_log_level,
        tools.format_exc_info,
        tools.TimeStamper(fmt="%H:%M:%S", utc=False),
        _readable,
    ]
    return structlog.wrap_logger(structlog.PrintLogger(sys.stderr), processors=chain)


def _readable(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """Lay an event out: what happened and to whom in one line, and a line for each thing that takes more."""
    name = event.pop("event")
    if name == _events.SCHEDTRACE.name:
        return str(event["text"])
    head = f"{event.pop('timestamp')} [{event.pop('level')}] preemptio: {name} "
    exception = event.pop("exception", "")
    advice = event.pop("advice", "")  # the last: what has to be known comes before what to do
    below, first = "", event.get("times") == 1
    for key, value in [*event.items(), *([("advice", advice)] if advice else [])]:
        text = f"{value:.3f}" if isinstance(value, float) else str(value)
        if isinstance(value, list):
            text = "\n".join(map(str, value))
        if key == "logger" or (first and key in ("times", "worst")):
            continue
        if len(text) <= SHORT and "\n" not in text and key not in ("where", "why", "advice"):
            head += f" {key}={text!r}" if isinstance(value, str) else f" {key}={text}"
        else:
            below += f"\n    {key}: " + text.replace("\n", "\n      ")
    return head + below + (f"\n{exception}" if exception else "")


def _say(event: Event, g: G | None = None, **fields: object) -> None:
    """Say one event, in the context of the task that it is about."""
    if g is not None:
        fields = {"g": g.id, "task": g.name, **fields}
    wrong = event.wrong(set(fields))
    assert not wrong, wrong
    task = None if g is None else g.task
    context = None if task is None else context_of(task)
    (Context() if context is None else context.copy()).run(getattr(logger(), event.level), event.name, **fields)


def place_of_line(place: CodeType, line: int) -> str:
    """Return `file:line in function`."""
    return f"{place.co_filename}:{line} in {place.co_qualname}"


def report_slow(
    g: G | None,
    seconds: float,
    verdict: Verdict | None,
    place: str,
    *,
    why: str,
    called_at: str,
    advice: str,
    times: int,
    worst: float,
) -> None:
    """Say that a step kept the loop from turning."""
    _say(
        _events.SLOW,
        g,
        seconds=round(seconds, 3),
        verdict="none" if verdict is None else str(verdict),
        where=place,
        **({"called_at": called_at} if called_at else {}),
        why=why,
        advice=advice,
        times=times,
        worst=round(worst, 3),
    )


def report_refusal(g: G, verdict: Verdict, place: CodeType, line: int, advice: str, times: int) -> None:
    """Say that a task computes and cannot be preempted, and what to do about it."""
    _say(
        _events.REFUSED,
        g,
        verdict=str(verdict),
        where=place_of_line(place, line),
        why=verdict.doc,
        advice=advice,
        times=times,
    )


def report_blocked(g: G, place: CodeType, line: int, times: int) -> None:
    """Say that a task blocked the thread, and was set aside in its call."""
    _say(
        _events.BLOCKED,
        g,
        where=place_of_line(place, line),
        advice="await preemptio.blocking(function, ...), in a plain function "
        "preemptio.wait(preemptio.blocking(function, ...)), or use an asynchronous library: what is rescued is looked "
        "at now and then only, and comes back late",
        times=times,
    )


def report_cpu_limit(g: G, action: str, limit: float, used: float) -> None:
    """Say that a block has used more CPU time than it should, and what is done about it."""
    _say(_events.CPU_LIMIT, g, action=action, limit=limit, used=round(used, 6))


def report_starving(g: G, seconds: float, parked: int, others: int) -> None:
    """Say that a task which could run was not let to."""
    advice = "start it without background=True" if g.background else "start it with a smaller nice"
    _say(
        _events.STARVING,
        g,
        seconds=seconds,
        parked=parked,
        others=others,
        nice=g.nice,
        background=g.background,
        created_at=g.created_at,
        advice=f"{advice}; PREEMPTIO_DEBUG=schedtrace=1000,scheddetail=1 shows who has the CPU",
    )


def report_leak(g: G, wait_reason: str, seconds: float, stack: str) -> None:
    """Say that nothing can wake a task any more."""
    _say(
        _events.LEAKED,
        g,
        wait_reason=wait_reason,
        seconds=round(seconds, 3),
        created_at=g.created_at,
        stack=stack,
    )


_too_late: Final = Repeats()


def report_not_suspended(g: G, seconds: float | None, verdict: Verdict | None, why: str) -> None:
    """Say that a task met no safe point in the time that somebody had. In the loop, or in the thread that asked."""
    times = _too_late.count(g.created_at)
    if not times:
        return
    _say(
        _events.NOT_SUSPENDED,
        g,
        seconds=seconds,
        verdict="none" if verdict is None else str(verdict),
        why=why,
        times=times,
    )


def report_stragglers(gs: Sequence[G], when: str) -> None:
    """Say which tasks outlived every attempt to end them."""
    for g in gs:
        _say(_events.STRAGGLER, g, when=when, status=str(g.status), dump=g.dump())


def report_abandoned(g: G, why: str, advice: str) -> None:
    """Say that a suspended G was let go because whoever held it did not."""
    _say(_events.NOT_RESUMED, g, why=why, advice=advice)


def report_calls(names: Sequence[str], when: str) -> None:
    """Say which calls of `preemptio.blocking` a loop leaves behind in their threads."""
    advice = (
        "give it a timeout of its own, or raise PREEMPTIO_GRACE: a thread cannot be ended, and this one is "
        "left to end with the program"
    )
    for name in names:
        _say(_events.CALL_LEFT, when=when, call=name, advice=advice)


def report_stopped(g: G, when: str) -> None:
    """Say that a task was stopped at a safe point because it did not end by itself."""
    _say(_events.STOPPED, g, when=when, created_at=g.created_at)


def report_signals_lost(full: str, waited: int) -> None:
    """Say that wake-up bytes did not fit, another signal's perhaps among them."""
    _say(_events.SIGNALS_LOST, full=full, bytes=waited)


def report_source(wanted: str, used: str, why: str) -> None:
    """Say that the tick comes from another source than the one asked for."""
    _say(_events.SOURCE, wanted=wanted, used=used, why=why)


def report_instrument(name: str, hook: str, exc: BaseException) -> None:
    """Say that an instrument raised, and is told no more."""
    advice = "mend the hook and add the instrument again: a hook must not raise"
    _say(_events.INSTRUMENT, instrument=name, hook=hook, advice=advice, exc_info=exc)


def report_deadlock(tasks: int, cycles: Sequence[str], dump: str) -> None:
    """Say that all tasks wait, and that nothing is known which could wake one."""
    _say(
        _events.DEADLOCK,
        tasks=tasks,
        why="all tasks are asleep, and no timer, I/O, thread or signal handler is left to wake one",
        cycles=list(cycles),
        advice="see the stacks for what they wait for; Ctrl-C ends the program",
        stack=dump,  # the key under which structlog prints several lines as they are
    )


def report_signal(name: str, why: str) -> None:
    """Say that a signal which was asked for could not be taken."""
    _say(_events.SIGNAL, signal=name, why=why)


def report_trace(path: str, why: str) -> None:
    """Say where the flight recorder has written what it had."""
    _say(_events.TRACE, path=path, why=why, advice=f"preemptio trace summary {path}")


def report_trace_failed(path: str, exc: OSError) -> None:
    """Say that the flight recorder could not write what it had. It goes on."""
    _say(_events.TRACE_FAILED, path=path, why=exc.strerror or str(exc))


def report_internal(where: str, exc: BaseException) -> None:
    """Say that the runtime itself failed somewhere that must not raise."""
    _say(_events.INTERNAL, where=where, exc_info=exc)


def report_schedtrace(lines: Sequence[str]) -> None:
    """Say what the scheduler does."""
    _say(_events.SCHEDTRACE, text="\n".join(lines))
