"""What the runtime tells the user: structlog events. The only file that imports structlog.

Library etiquette: the logger is looked up when something is said, nothing is configured, and nothing is ever logged
in a signal handler or on top of user code: callers post here through the loop.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._reasons import Verdict


def logger() -> Any:
    """Return the library's logger: as the application configured structlog, else on standard error.

    structlog's own default is standard output, which belongs to the program's output.
    """
    import structlog

    if structlog.is_configured():
        return structlog.get_logger("preemptio")
    return structlog.wrap_logger(structlog.PrintLogger(sys.stderr))


def report_refusal(g: G, verdict: Verdict, place: CodeType, line: int, advice: str) -> None:
    """Say once per place that a task computes and cannot be preempted, and what to do about it."""
    logger().warning(
        "task cannot be preempted",
        g=g.id,
        name=g.name,
        verdict=str(verdict),
        why=verdict.doc,
        where=f"{place.co_filename}:{line} in {place.co_qualname}",
        advice=advice,
    )


def report_blocked(g: G, place: CodeType, line: int) -> None:
    """Say once per file that a task blocked the thread, and was set aside in its call."""
    logger().warning(
        "blocking call in a task",
        g=g.id,
        name=g.name,
        where=f"{place.co_filename}:{line} in {place.co_qualname}",
        advice="await preemptio.blocking(function, ...), in a plain function "
        "preemptio.wait(preemptio.blocking(function, ...)), or use an asynchronous library: what is rescued is looked "
        "at now and then only, and comes back late",
    )


def report_cpu_limit(g: G, action: str, limit: float, used: float) -> None:
    """Say that a block has used more CPU time than it should, and what is done about it."""
    logger().warning("cpu limit reached", g=g.id, name=g.name, action=action, limit=limit, used=round(used, 6))


def report_stragglers(gs: Sequence[G], when: str) -> None:
    """Say which tasks outlived every attempt to end them."""
    for g in gs:
        logger().error("task did not stop", when=when, g=g.id, name=g.name, status=str(g.status), dump=g.dump())


def report_abandoned(g: G, why: str) -> None:
    """Say that a suspended G was let go because whoever held it forgot to."""
    logger().warning(
        "suspended task was not resumed",
        g=g.id,
        name=g.name,
        why=why,
        advice="use `async with preemptio.suspended(g):`, or call resume_g(state) in a `finally`",
    )


def report_calls(names: Sequence[str], when: str) -> None:
    """Say which calls of `preemptio.blocking` a loop leaves behind in their threads."""
    for name in names:
        logger().error(
            "blocking call did not end",
            when=when,
            call=name,
            advice="give it a timeout of its own, or raise PREEMPTIO_GRACE: a thread cannot be ended, and this one is "
            "left to end with the program",
        )


def report_stopped(g: G, when: str) -> None:
    """Say that a task was stopped at a safe point because it did not end by itself."""
    logger().warning("task stopped at a safe point", when=when, g=g.id, name=g.name, created_at=g.created_at)


def report_source(wanted: str, used: str, why: str) -> None:
    """Say that the tick comes from another source than the one asked for."""
    logger().warning("tick source unavailable", wanted=wanted, used=used, why=why)


def report_instrument(name: str, hook: str, exc: BaseException) -> None:
    """Say that an instrument raised, and is told no more."""
    logger().error(
        "instrument removed",
        instrument=name,
        hook=hook,
        advice="mend the hook and add the instrument again: a hook must not raise",
        exc_info=exc,
    )


def report_deadlock(tasks: int, cycles: Sequence[str], dump: str) -> None:
    """Say that all tasks wait, and that nothing is known which could wake one."""
    logger().error(
        "deadlock",
        tasks=tasks,
        why="all tasks are asleep, and no timer, I/O, thread or signal handler is left to wake one",
        cycles=list(cycles),
        advice="see the stacks for what they wait for; Ctrl-C ends the program",
        stack=dump,  # the key under which structlog prints several lines as they are
    )


def report_signal(name: str, why: str) -> None:
    """Say that a signal which was asked for could not be taken."""
    logger().warning("signal not taken", signal=name, why=why)


def report_trace(path: str, why: str) -> None:
    """Say where the flight recorder has written what it had."""
    logger().warning("trace written", path=path, why=why, advice=f"preemptio trace summary {path}")


def report_trace_failed(path: str, exc: OSError) -> None:
    """Say that the flight recorder could not write what it had. It goes on."""
    logger().error("trace not written", path=path, why=exc.strerror or str(exc))


def report_internal(where: str, exc: BaseException) -> None:
    """Say that the runtime itself failed somewhere that must not raise."""
    logger().error("internal error, please report it", where=where, exc_info=exc)
