"""G: the record of one task.

One G per task, made when the task's first step is scheduled, reachable as `task.g`, forgotten with it. The record
is in two halves because most of a service's tasks only ever wait: `G` holds what every step touches, and
`GExtra` what only a task needs that was preempted, masked or configured. A hundred thousand waiting tasks share
one empty `GExtra`.

Who writes what: `status` and the fields of a step, `_step.py`; the request flags, `_preempt`; the mask, the G's own
code through `nopreempt`. Everything is written in the loop's thread only; other threads may read.
"""

from __future__ import annotations

import itertools
import time
import weakref
from collections.abc import Callable, Mapping
from types import CodeType, FrameType, MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from preemptio._core._gstatus import IDLE, SYSCALL, Gstatus
from preemptio._core._reasons import PreemptKind, Verdict, WaitReason
from preemptio._core._refusals import LastRefusal, Refusals

if TYPE_CHECKING:
    from preemptio._core._accounts import Account
    from preemptio._core._parked import Parked

_next_id = itertools.count(1).__next__


BlockedAt = tuple[CodeType, int, float]
"""A blocking call, by code and instruction, and the seconds that a G was set aside in it."""


class Restartable(Protocol):
    """What a G stands in that is begun again if the CPU is taken from it there: see `_preempt/_restart.py`."""

    name: str

    def holds(self, frame: FrameType) -> bool:
        """Report whether the step must not be left at this frame."""

    def torn_at(self, frame: FrameType) -> bool:
        """Report whether it has to be begun again if the step is left at this frame."""

    def restart(self, extra: GExtra, caught: Callable[[], object] | None = None) -> BaseException:
        """Return what is to be raised at that frame when the G goes on; `caught` is called when it was."""


class GExtra:
    """The half of a G that most Gs never need; made by `G.extra()` at the first write."""

    __slots__ = (
        "accounts",
        "aside",
        "async_safe_point",
        "background",
        "blocked_at",
        "cancel_at_safe_point",
        "charged",
        "cpu_time",
        "delivered_cancels",
        "hold",
        "last_refusal",
        "mark_seen",
        "nice",
        "overdue",
        "parked",
        "policy",
        "preempt_off",
        "preempt_stop",
        "preemptions",
        "probe",
        "refusals",
        "restartable",
        "restarts",
        "vruntime",
        "waiting_on",
    )

    def __init__(self) -> None:
        """Start with nothing used and nothing asked."""
        self.cpu_time = 0.0  # seconds of thread CPU time; exact for slices, sampled by ticks otherwise
        self.vruntime = 0.0  # cpu_time weighted by nice: the order of the parked queue
        self.nice = 0
        self.overdue = False  # neither a mask nor whose code it is protects it any more; writer: _overdue.py
        self.blocked_at: BlockedAt | None = None
        self.background = False  # runs only when nothing else wants to; set at its birth
        self.hold: Any = None  # the Hold of a suspended G; writers: claim and drop in _hold.py
        self.accounts: tuple[Account, ...] = ()  # count its CPU time together with others'; writer: _accounts.py
        self.aside = False  # its steps do not go straight into the queue; writers: settle_aside, newproc and claim
        self.probe: Callable[[float], None] | None = None  # told how long its next step waits; writer: _probe.py
        self.preemptions: dict[PreemptKind, int] = {}
        self.refusals: dict[Verdict, int] = {}
        self.last_refusal: LastRefusal | None = None  # not the frame, which would keep its variables alive
        self.preempt_stop = False  # stop (PREEMPTED) instead of giving way; set by a suspender
        self.async_safe_point = False  # stopped at an asynchronous safe point: its frames are known conservatively
        self.preempt_off: tuple[str, ...] = ()  # reasons of the nopreempt regions it is in, innermost last
        self.policy: Any = None  # go(policy=...): the SafePointPolicy that is added to the loop's
        self.parked: Parked | None = None  # where it stands while it is off its carrier in mid-step
        self.restartable: Restartable | None = None  # what it stands in; writers: its wrapper, restart()
        self.restarts = 0  # times that something was begun again
        self.waiting_on: Any = None  # the future that preempt.wait() parked on
        self.cancel_at_safe_point = False  # go(cancel="safepoint")
        self.delivered_cancels = 0  # cancels delivered at a safe point, which the C task never saw
        self.mark_seen = False  # asyncio's own cancel mark was raised by preemptio.wait(), and cannot be taken back
        self.charged = (0, 0)  # (schedtick, units): what charge() has counted in this slice

    def settle_aside(self) -> None:
        """Say anew whether its steps go straight into the queue: something of what keeps them aside has changed."""
        self.aside = self.background or self.hold is not None or self.probe is not None or bool(self.accounts)


_NOTHING: Final = GExtra()


class G(weakref.ref[Any]):
    """One task as the scheduler sees it. Public, and read-only for users, as `preemptio.lowlevel.G`.

    It is itself the weak reference to its task, which owns it: another object a task would have to be made and freed.
    """

    __slots__ = (
        "__weakref__",
        "_extra",
        "id",
        "last_run",
        "locks",
        "preempt",
        "site_code",
        "site_lasti",
        "slices",
        "status",
    )

    id: int
    status: Gstatus
    slices: int  # times it was given the CPU: steps, and resumptions within one
    last_run: float  # loop-independent monotonic clock, at the granularity of a batch of steps
    preempt: bool  # asked to give way; survives while the guard is masked
    locks: int  # depth of nopreempt regions; > 0 means that it cannot be preempted
    site_code: CodeType | None
    site_lasti: int
    _extra: GExtra

    # A reference is equal to any other to the same object, and has its hash; a G is only itself.
    __eq__ = object.__eq__
    __ne__ = object.__ne__
    __hash__ = object.__hash__

    def extra(self) -> GExtra:
        """Return this G's own GExtra, making it at the first write."""
        extra = self._extra
        if extra is _NOTHING:
            extra = self._extra = GExtra()
        return extra

    @property
    def task(self) -> Any:
        """The task, or None when it was collected."""
        return self()

    @property
    def name(self) -> str:
        """The task's name, or `G-<id>` when the task is gone."""
        task = self()
        return f"G-{self.id}" if task is None else str(task.get_name())

    @property
    def created_at(self) -> str:
        """Where the task was created, as `file:line in function`; the code outside asyncio and preemptio."""
        if self.site_code is None:
            return "unknown"
        return place_of(self.site_code, self.site_lasti)

    @property
    def cpu_time(self) -> float:
        """Seconds of CPU it used: exact for slices that ended by preemption, sampled by ticks otherwise."""
        return self._extra.cpu_time

    @property
    def nice(self) -> int:
        """Its weight in the parked queue: each step of +1 is a fifth less CPU beside others."""
        return self._extra.nice

    @property
    def background(self) -> bool:
        """Whether it runs only when nothing else wants to."""
        return self._extra.background

    @property
    def policy(self) -> Any:
        """The `SafePointPolicy` that it was started with, or None; it is added to the loop's."""
        return self._extra.policy

    @property
    def preemptions(self) -> Mapping[PreemptKind, int]:
        """How often the CPU was taken from it, by kind."""
        return MappingProxyType(self._extra.preemptions)

    @property
    def restarts(self) -> int:
        """How often a `@preemptio.restartable` function was begun again in it."""
        return self._extra.restarts

    @property
    def refusals(self) -> Mapping[Verdict, int]:
        """How often it could not be stopped when it should have been, by verdict."""
        return MappingProxyType(self._extra.refusals)

    def why_not_preempted(self) -> Refusals:
        """Return why it was not preempted when it should have been: the last refusal, and the count of each. Print it.

        Returns:
            Refusals: a frozen record; its text is "it was never refused" where that is so.

        Context: any thread, any state of the G. What stands now is told by `preemptio.explain(g=g)`.

        Example:
            >>> import preemptio
            >>> from preemptio.lowlevel import current_g
            >>> async def main():
            ...     print(current_g().why_not_preempted())
            >>> preemptio.run(main())
            it was never refused
        """
        last, counts = self._extra.last_refusal, MappingProxyType(dict(self._extra.refusals))
        if last is None:
            return Refusals(None, "", 0, 0.0, counts)
        verdict, code, lasti, at = last
        return Refusals(verdict, place_of(code, lasti), counts.get(verdict, 0), time.monotonic() - at, counts)

    @property
    def preempt_stop(self) -> bool:
        """Whether a suspender asked it to stop rather than to give way."""
        return self._extra.preempt_stop

    @property
    def async_safe_point(self) -> bool:
        """Whether it stands at an asynchronous safe point."""
        return self._extra.async_safe_point

    @property
    def suspended(self) -> bool:
        """Whether somebody holds it: its stack can be read, and none of its code runs."""
        return self._extra.hold is not None

    @property
    def parked(self) -> bool:
        """Whether it was taken off its carrier in the middle of a step."""
        return self._extra.parked is not None

    @property
    def reason(self) -> str:
        """Why it must not be preempted now: the reason of the innermost `nopreempt` region, or ''."""
        off = self._extra.preempt_off
        return off[-1] if off else ""

    @property
    def wait_reason(self) -> WaitReason:
        """What it waits for, when it is WAITING or in SYSCALL; read from the await chain at this moment."""
        if self._extra.waiting_on is not None and self.status.base is not SYSCALL:
            return WaitReason.WAIT
        return wait_reason_of(self)

    def dump(self, *, others: bool = False) -> str:
        """Describe the G in a few lines, for errors and logs; with `others`, all Gs of its loop. Safe in any state."""
        extra = self._extra
        wait = self.wait_reason
        head = f'G {self.id} "{self.name}" [{self.status}{f": {wait}" if wait is not WaitReason.NONE else ""}]'
        flags = [
            f"preempt={self.preempt}",
            f"preempt_stop={extra.preempt_stop}",
            f"parked={extra.parked is not None}",
            f"async_safe_point={extra.async_safe_point}",
            f"locks={self.locks}",
            f"preempt_off={list(extra.preempt_off)}",
        ]
        counts = [
            f"slices={self.slices}",
            f"cpu={extra.cpu_time:.6f}s",
            f"preemptions={ {str(k): n for k, n in extra.preemptions.items()} }",
            f"refusals={ {str(k): n for k, n in extra.refusals.items()} }",
        ]
        rest = f"\n\n{dump_others(self)}" if others else ""
        return f"{head}\n  {' '.join(flags)}\n  {' '.join(counts)}\n  created at {self.created_at}{rest}"

    def __repr__(self) -> str:
        """Show id, name and status."""
        return f"<G {self.id} {self.name!r} {self.status}>"


def new_g(task: object, site_code: CodeType | None, site_lasti: int, status: Gstatus = IDLE) -> G:
    """Make the record of a task. An `__init__` would cost as much again, being called by way of C.

    `status`: IDLE, or what may follow it, for who makes it and readies it at once.
    """
    g = G(task)
    g.id = _next_id()
    g.status = status
    g.slices = 0
    g.last_run = 0.0
    g.preempt = False
    g.locks = 0
    g.site_code = site_code
    g.site_lasti = site_lasti
    g._extra = _NOTHING
    return g


def place_of(code: CodeType, lasti: int) -> str:
    """Return `file:line in function` of an instruction."""
    return f"{code.co_filename}:{line_of(code, lasti)} in {code.co_qualname}"


def line_of(code: CodeType, lasti: int) -> int:
    """Return the line of the instruction at `lasti`: kept lazily, since computing it at every birth costs more."""
    for start, end, line in code.co_lines():
        if start <= lasti < end and line is not None:
            return line
    return code.co_firstlineno


def _unknown(_g: G) -> WaitReason:
    return WaitReason.NONE


wait_reason_of: Callable[[G], WaitReason] = _unknown
"""Seam: the host package, which knows what a task awaits, puts its reader here."""


def set_wait_reason_reader(reader: Callable[[G], WaitReason]) -> None:
    """Let the host say how a G's wait reason is read."""
    global wait_reason_of  # noqa: PLW0603 - the one seam between core and host that has no object to hang on
    wait_reason_of = reader


def _nobody(_g: G) -> str:
    return ""


dump_others: Callable[[G], str] = _nobody
"""Seam: what can describe all Gs of a loop puts itself here. It must not raise, in whatever state they are."""


def set_dump_others(reader: Callable[[G], str]) -> None:
    """Let the observers say how all Gs of a loop are described in an internal error."""
    global dump_others  # noqa: PLW0603 - as wait_reason_of
    dump_others = reader
