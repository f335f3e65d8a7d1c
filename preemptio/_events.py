"""The events: one table, from which what is logged, docs/events.md and the tests all follow.

Problem. An event is a name that somebody filters by, a level, and fields that somebody indexes; and a reader at night
wants to know what it means and what to do. Written where each is said, the four drift apart.

What we do. A row per event. `_log.py` says nothing that is not a row, with its fields and no others; an assertion holds
it to that, in every test that brings an event about.

Every event about a task has `g` and `name` besides, and the context variables of that task.

Context: any. Nothing here is written after the import.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["info", "warning", "error"]

OF_A_TASK: Final = {"g": "id of the G", "task": "the task's name"}
"""What every event about a task has."""

OF_A_PLACE: Final = {
    "where": "`file:line in function`, of the interrupted place",
    "advice": "what to type",
    "times": "how often this came, in this file for this reason: it is said the 1st, 10th, 100th, ... time",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One row."""

    name: str
    level: Level
    meaning: str
    todo: str
    fields: dict[str, str]
    task: Literal["yes", "no", "perhaps"] = "yes"
    """Whether it is about a task; a slow step may also be a callback, which is no task's."""
    optional: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Enter the row in the table."""
        assert self.name not in EVENTS, self.name
        EVENTS[self.name] = self

    def all_fields(self) -> dict[str, str]:
        """Return each field that it can have, with its meaning."""
        return (OF_A_TASK if self.task != "no" else {}) | self.fields

    def wrong(self, given: set[str]) -> str:
        """Say what is wrong with the fields of one occurrence; "" if nothing is."""
        known = set(self.all_fields())
        needed = known - set(self.optional) - (set(OF_A_TASK) if self.task == "perhaps" else set())
        more, less = given - known, needed - given
        return f"event {self.name!r}: unknown {sorted(more)}, missing {sorted(less)}" if more or less else ""


EVENTS: Final[dict[str, Event]] = {}
"""Every event by its name, in the order of docs/events.md."""

SLOW = Event(
    "slow step",
    "warning",
    "A step, or a callback of the loop, kept the loop from turning for longer than the knob `slow`, while something "
    "waited: another task, a timer, a socket. It could not be preempted, or not soon enough.",
    "Follow `advice`. `called_at` is the line of your own code that leads there. By the wall clock: a machine that "
    "stands still counts as well. Needs a tick: nothing is seen where the source is `none`, nor callbacks on uvloop.",
    OF_A_PLACE
    | {
        "seconds": "how long the loop could not turn",
        "worst": "the longest that was met in this file for this reason",
        "called_at": "the same of the nearest frame of the program's own code; absent if that is `where`",
        "verdict": "why it was refused last; `none` if no tick could even look, as in one long call of C code",
        "why": "the verdict in words",
    },
    task="perhaps",
    optional=("called_at",),
)

REFUSED = Event(
    "task cannot be preempted",
    "warning",
    "One step was refused twenty times in a row. It has the loop to itself until it ends.",
    "Follow `advice`; `print(preemptio.explain())` in the task tells more.",
    OF_A_PLACE
    | {
        "verdict": "the verdict; [all verdicts](guarantee.md#verdicts)",
        "why": "the verdict in words",
    },
)

BLOCKED = Event(
    "blocking call in a task",
    "warning",
    "A task blocked the thread - `time.sleep`, a lock, a socket - and was set aside in the middle of its call, so the "
    "others go on.",
    "Make the call by `preemptio.blocking`: what is rescued is looked at now and then only, and comes back late.",
    OF_A_PLACE,
)

STARVING = Event(
    "starving task",
    "warning",
    "A task that was preempted, or that is of the background class, has waited for the CPU for longer than the knob "
    "`starvation`, and others have had it.",
    "If it is to go on under load, give it a smaller `nice`, or do not start it with `background=True`. If not, raise "
    "the knob. `PREEMPTIO_DEBUG=schedtrace=1000,scheddetail=1` shows who has the CPU. Said after one such time, ten, "
    "a hundred, ..., and of one task at a time.",
    {
        "seconds": "for how long, at least",
        "parked": "how many wait as it does, itself included",
        "others": "how many others it would be said of now; it has waited longest",
        "nice": "its own",
        "background": "whether it runs only when nothing else wants to",
        "created_at": "where it was started",
        "advice": "what to type",
    },
)

LEAKED = Event(
    "leaked task",
    "warning",
    "`scan.leaks()` has proved that nothing can wake this task any more. Said once for each.",
    "See what it waits for, and who should have woken it. `task.cancel()` ends it.",
    {
        "wait_reason": "what it waits for",
        "seconds": "since when, about",
        "created_at": "where it was started",
        "stack": "its stack",
    },
)

NOT_SUSPENDED = Event(
    "task could not be suspended",
    "warning",
    "`suspend_g` or `suspend_g_threadsafe` ran into its `timeout`: the task met no safe point in time.",
    "`why` says what refused it last. A longer timeout helps if that is a short region.",
    {
        "seconds": "the timeout",
        "verdict": "why it was refused last, or `none`",
        "why": "the same at length",
        "times": "how often that came with tasks that were started at that place: said the 1st, 10th, 100th, ... time",
    },
)

NOT_RESUMED = Event(
    "suspended task was not resumed",
    "warning",
    "Whoever held a task forgot to let it go, or waited for it, so that was done for him.",
    "Follow `advice`.",
    {"why": "how that was noticed", "advice": "what to type"},
)

CPU_LIMIT = Event(
    "cpu limit reached",
    "warning",
    "The tasks of a `cpu_limit` block have used the CPU time that it allows.",
    "Nothing, if that is what the limit is for. Otherwise raise it; `action` says what has become of the block.",
    {
        "action": "which of the block's limits it was, and so what was done",
        "limit": "seconds of CPU time allowed",
        "used": "seconds used",
    },
)

STRAGGLER = Event(
    "task did not stop",
    "error",
    "A task outlived the cancellation, the CancelledError at its safe points, and the end of its loop.",
    "Let it end: code that catches CancelledError must raise it again. Or raise `PREEMPTIO_GRACE`.",
    {"when": "during what", "status": "its state", "dump": "all that is known of it"},
)

STOPPED = Event(
    "task stopped at a safe point",
    "warning",
    "A task did not end within `PREEMPTIO_GRACE` of its cancellation, as it computed, and was ended where it stood.",
    "Nothing, if that is what you want. Otherwise have it look whether it is to end, or await now and then.",
    {"when": "during what", "created_at": "where it was started"},
)

CALL_LEFT = Event(
    "blocking call did not end",
    "error",
    "A call of `preemptio.blocking` still ran when its loop ended.",
    "Give the call a timeout of its own, or raise `PREEMPTIO_GRACE`.",
    {"when": "during what", "call": "the function", "advice": "what to do"},
    task="no",
)

SIGNALS_LOST = Event(
    "signals may have been lost",
    "error",
    "The tick overflowed. The interpreter writes a byte for each signal into a pipe, the ticks' among them, and nobody "
    "read it for so long that it was full: one C call of minutes. Bytes that did not fit are gone. If one of "
    "them was another signal's, its `loop.add_signal_handler` callback was not called.",
    "Do the long call in a thread: `await preemptio.blocking(function)`. Send the signal again.",
    {"full": "what was full: `pipe`, or `loop` for the loop's own descriptor", "bytes": "how many waited there"},
    task="no",
)

DEADLOCK = Event(
    "deadlock",
    "error",
    "All tasks are asleep, and no timer, I/O, thread or signal handler is left to wake one. Nothing is raised.",
    "See the stacks for what they wait for, and `cycles` for who waits for whom. Ctrl-C ends the program.",
    {
        "tasks": "how many",
        "why": "the same in words",
        "cycles": "tasks that wait for each other in a ring, a line each",
        "advice": "what to do",
        "stack": "a dump of all tasks",
    },
    task="no",
)

SIGNAL = Event(
    "signal not taken",
    "warning",
    "A signal on which a dump or a trace was to be written belongs to somebody else.",
    "`why` says to whom. Take another signal, or call the function.",
    {"signal": "its name", "why": "why"},
    task="no",
)

TRACE = Event(
    "trace written",
    "warning",
    "The flight recorder has written what it had, as it was asked to by a knob or a signal.",
    "Follow `advice`.",
    {"path": "the file", "why": "what made it write", "advice": "what to type"},
    task="no",
)

TRACE_FAILED = Event(
    "trace not written",
    "error",
    "The flight recorder could not write its file. It goes on recording.",
    "See `why`: permissions or space, mostly. It writes to the current directory.",
    {"path": "the file", "why": "the system's answer"},
    task="no",
)

SOURCE = Event(
    "tick source unavailable",
    "warning",
    "The tick comes from another source than the one asked for, or from none.",
    "`why` says who has it. PREEMPTIO_SOURCE chooses another.",
    {"wanted": "the source asked for", "used": "the source in use", "why": "why"},
    task="no",
)

INSTRUMENT = Event(
    "instrument removed",
    "error",
    "A hook of an instrument raised. It is told nothing any more.",
    "Mend the hook and add the instrument again.",
    {
        "instrument": "its class",
        "hook": "the hook that raised",
        "advice": "what to do",
        "exc_info": "the exception",
    },
    task="no",
)

INTERNAL = Event(
    "internal error, please report it",
    "error",
    "preemptio itself failed at a place that must not raise. The program goes on; something is not preempted.",
    "Report it, with the traceback.",
    {"where": "the part that failed", "exc_info": "the exception"},
    task="no",
)

SCHEDTRACE = Event(
    "schedtrace",
    "info",
    "The state of the scheduler, every so many milliseconds, if PREEMPTIO_DEBUG=schedtrace=MS asks for it.",
    "Read it: [how to](howto.md#find-out-what-happens). Where structlog is not configured the lines stand alone.",
    {"text": "the lines"},
    task="no",
)
