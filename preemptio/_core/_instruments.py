"""Instruments: what watches the scheduler, and the one table through which it is called.

Problem. Events, metrics and traces want to know of every transition. The hot path has none of their time: a step costs
half a microsecond, and a call of Python a tenth of that.

What does not work. A test per kind of event on every step. Writing every event down whether somebody asks or not. A
hook that is called by sampling the clock: what it sees depends on how long things take, so percentiles move with it.

What we do. One table a processor, with a tuple of bound methods per event. A step compares two numbers: its own, and
that of the next step which somebody wants to be told of. So what is sampled is sampled by count, one step in so many,
and the same rule serves whoever wants all of them. A step that is told of gets a wrapper around its context, which
tells its end; no other step pays for that. An event that is rare goes through its tuple, which is empty when nobody
listens. For turns the loop polls by another way when somebody listens. Becoming ready is as frequent as a step, and
happens where no processor is at hand: a module-wide list says whether any table listens at all.

A broken instrument must not break the program: an exception is reported from the loop and the instrument is gone. A
RecursionError is the program's own, as long as there was no room for the call; an instrument is not to blame for
that.

Invariants. A hook is called when no transition is half done: `started` before the G is RUNNING, `stopped` when it is
no more, so the tick can stop nothing in a hook. The hooks of one instrument are added and removed together.

Context: the loop's thread, each hook as it says: on a carrier, in the hub, in the tick handler, in the collector.
`add` and `remove` in the loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import TYPE_CHECKING, Any, Final

from preemptio._core._current import current_processor
from preemptio._core._gstatus import DEAD, RUNNING, WAITING, cas_gstatus
from preemptio._core._headroom import NoRoomError, require_headroom
from preemptio._log import report_instrument

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._core._processor import Processor
    from preemptio._core._reasons import PreemptKind, Verdict

FAR: Final = 1 << 29
"""Steps until the next look when nobody wants to be told: small, since two small numbers are compared fastest."""

LISTENING: Final[list[Instruments]] = []
"""The tables that want to know who is made ready or created; tested where no processor is at hand."""


class Instrument:
    """What watches the scheduler of a loop: override what you want to be told, and `add_instrument` it.

    A hook runs between two instructions of the scheduler. It must be short, must not raise, wait, give way or change
    a task, and must not call what wakes tasks. One that raises is reported and removed. A hook that is not overridden
    costs nothing.

    Source: Trio's Instrument; the events are those of Go's execution traces.

    Example:
        >>> import asyncio, preemptio
        >>> from preemptio import runtime
        >>> class Count(runtime.Instrument):
        ...     steps = 0
        ...     def started(self, g):
        ...         self.steps += 1
        >>> async def main():
        ...     count = Count()
        ...     runtime.add_instrument(count)
        ...     await asyncio.sleep(0)
        ...     runtime.remove_instrument(count)
        ...     return count.steps
        >>> preemptio.run(main())
        1
    """

    every: int = 1
    """Tell `started` and `stopped` of one step in so many: a power of two. Of what happens in the middle of a step -
    that a G is preempted, waits, and goes on - they are always told."""

    def created(self, g: G) -> None:
        """Note that a task came to be. In its creator's step, or wherever else it is made.

        Up to CPython 3.12 `asyncio.create_task` gives it its name only afterwards.
        """

    def readied(self, g: G, by: G | None) -> None:
        """Note that a waiting G was made runnable, by the step of `by`, or by a callback, a timer or I/O (None)."""

    def started(self, g: G) -> None:
        """Note that a G is about to get the CPU: for a step, or to go on in the middle of one (`g.parked`)."""

    def stopped(self, g: G, kind: PreemptKind | None) -> None:
        """Note that a G has given up the CPU: its status says for what, `kind` that it was preempted, and how."""

    def parked(self, g: G) -> None:
        """Note that a runnable G waits in the parked queue: it was preempted, or is of the background class."""

    def refused(self, g: G, verdict: Verdict, code: CodeType, lasti: int) -> None:
        """Note that a G which has used its slice cannot be stopped at this instruction. In the tick handler."""

    def charged(self, g: G, seconds: float) -> None:
        """Note that CPU time was put to the account of a G: at a tick that met it, or when it is stopped.

        In the tick handler, too, on top of the G's own code.
        """

    def turn_began(self) -> None:
        """Note that the loop has polled, and runs what is ready.

        On uvloop and others, whose turn is not seen: that a batch of steps or a parked G is about to run.
        """

    def turn_ended(self) -> None:
        """Note that the loop is about to poll again."""

    def suspended(self, g: G, seconds: float) -> None:
        """Note that a G is held for somebody, this many seconds after he asked. Each reader counts."""

    def released(self, g: G) -> None:
        """Note that a G is held no more."""

    def world_stopped(self, reason: str, stopping: float) -> None:
        """Note that every G but one stands, after this many seconds."""

    def world_started(self, reason: str, total: float) -> None:
        """Note that they all go on, this many seconds after the decision to stop them."""

    def gc_began(self, generation: int) -> None:
        """Note that the garbage collector runs, in the loop's thread. In the collector: allocate little."""

    def gc_ended(self, generation: int) -> None:
        """Note that the garbage collector has ended."""


HOOKS: Final = tuple(name for name, value in vars(Instrument).items() if callable(value) and name[0] != "_")
"""The names of the hooks, which are those of the attributes of `Instruments`."""

Hooks = tuple[Callable[..., None], ...]


class Instruments:
    """One processor's table."""

    __slots__ = ("_alike", "_all", "_every", "_p", "_round", "_starts", "_stops", *HOOKS)

    created: Hooks
    readied: Hooks
    started: Hooks
    stopped: Hooks
    parked: Hooks
    refused: Hooks
    charged: Hooks
    turn_began: Hooks
    turn_ended: Hooks
    suspended: Hooks
    released: Hooks
    world_stopped: Hooks
    world_started: Hooks
    gc_began: Hooks
    gc_ended: Hooks

    def __init__(self, p: Processor) -> None:
        """Start with nobody listening."""
        self._p = p
        self._all: tuple[Instrument, ...] = ()
        self._every = 0  # of how many steps one is told of to anybody; 0: of none
        self._round = 0  # how many were
        self._alike = True  # everybody is told of the same steps
        self._build()

    @property
    def host(self) -> Any:
        """The loop whose table it is."""
        return self._p.host

    def __iter__(self) -> Any:
        """Go through the instruments, in the order in which they were added."""
        return iter(self._all)

    def add(self, instrument: Instrument) -> None:
        """Tell an instrument from now on. Its creator must be in the loop's thread, or the loop not run."""
        self._all = (*self._all, instrument)
        self._build()

    def remove(self, instrument: Instrument) -> bool:
        """Tell it no more; report whether it was there."""
        before = len(self._all)
        self._all = tuple(each for each in self._all if each is not instrument)
        self._build()
        return len(self._all) < before

    @staticmethod
    def _has(instrument: Instrument, name: str) -> bool:
        return getattr(type(instrument), name) is not getattr(Instrument, name)

    def _build(self) -> None:
        """Make the tuples anew: who goes through an old one at this moment ends it as it was."""
        p = self._p
        for name in HOOKS:
            setattr(self, name, tuple(getattr(each, name) for each in self._all if self._has(each, name)))
        every = [each.every for each in self._all if self._has(each, "started") or self._has(each, "stopped")]
        self._every = min(every, default=0)
        self._starts, self._stops = self._with_rounds(self.started), self._with_rounds(self.stopped)
        self._alike = all(rounds == 1 for _, rounds in (*self._starts, *self._stops))
        p.watch_at = p.schedtick + (self._every or FAR)
        watch_turns = bool(self.turn_began or self.turn_ended)
        if watch_turns is not p.watch_turns:
            p.watch_turns = watch_turns
            p.attention = True  # back to the hub after this step: the next turn polls by another way
        listens = bool(self.created or self.readied)
        if listens and self not in LISTENING:
            LISTENING.append(self)
        elif not listens and self in LISTENING:
            LISTENING.remove(self)

    # -- telling --

    def tell(self, hooks: Hooks, *args: object) -> None:
        """Call every hook of an event."""
        for hook in hooks:
            try:
                hook(*args)
            except Exception as exc:
                self._failed(hook, exc)

    def watched(self, g: G, context: Any) -> Any:
        """Tell that a step starts; return what tells its end and stands for its context. On the carrier."""
        p = self._p
        p.watch_at = p.schedtick + (self._every or FAR)
        if self._alike:
            for hook in self.started:
                try:
                    hook(g)
                except Exception as exc:
                    self._failed(hook, exc)
            return Watched(self, self.stopped, g, context) if self.stopped else context
        self._round += 1
        for hook, rounds in self._starts:
            if not self._round % rounds:
                self.tell((hook,), g)
        stops = tuple(hook for hook, rounds in self._stops if not self._round % rounds)
        return Watched(self, stops, g, context) if stops else context

    def _with_rounds(self, hooks: Hooks) -> tuple[tuple[Callable[..., None], int], ...]:
        """Return hooks of steps, each with how many of the steps that are told of at all make one for it."""
        return tuple((hook, hook.__self__.every // self._every) for hook in hooks)  # type: ignore[attr-defined]  # bound

    def _failed(self, hook: Callable[..., None], exc: Exception) -> None:
        """Remove an instrument that raised, and have it reported from the loop."""
        if isinstance(exc, RecursionError):
            try:
                require_headroom()
            except NoRoomError:
                return
        instrument: Any = hook.__self__  # type: ignore[attr-defined]
        if self.remove(instrument):
            self._p.host.post(report_instrument, type(instrument).__qualname__, hook.__name__, exc)


class Watched:
    """Stands for the context of a step that somebody is told of, and tells when the step has ended."""

    __slots__ = ("_context", "_g", "_stops", "_table", "entered")

    def __init__(self, table: Instruments, stops: Hooks, g: G, context: Any) -> None:
        """Take the hooks to be told."""
        self._table = table
        self._stops = stops
        self._g = g
        self._context = context
        self.entered = getattr(context, "entered", context)  # as `entered_context` of _parked.py asks for it

    def run(self, step: Any, *args: object) -> None:
        """Run the step as Context.run does, finish its transition, which must not be half done, and tell."""
        g = self._g
        self._context.run(step, *args)
        if g.status is RUNNING:
            cas_gstatus(g, RUNNING, DEAD if step.__self__.done() else WAITING)
        self._table.tell(self._stops, g, None)
        del self, step, args, g  # the traceback of an exception that the task keeps may keep this frame


def tell_ready(g: G) -> None:
    """Tell the table of the loop that runs in this thread that `g` was made runnable."""
    p = current_processor()
    if p is not None and p.instruments.readied:
        p.instruments.tell(p.instruments.readied, g, p.curg)
