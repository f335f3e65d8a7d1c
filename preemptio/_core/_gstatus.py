"""The status of a G, the table of its legal transitions, and the only functions that change it.

Problem. A dump, a scanner, a suspender and the scheduler all act on "what is this task doing now". If each
derives it in its own way they disagree in the instant that matters, and a task is run twice or never again.

What we do. One explicit field, Go's names and numbers, and one door. A G's status is also the lock on its
stack: whoever moved it to the present state has the right that the state names, and the scan bit lends that
right to a reader without changing what the G returns to (`status & ~SCAN`).

Invariants. Only the thread of the G's own loop writes a status. A transition that is not in `TRANSITIONS` is an
internal error with a dump of the G, never silently taken. The tick never stops the runtime's own frames, so no
transition is ever seen half done.

Context: the loop's thread; on a carrier, in the hub, and in the tick handler (which runs in the same thread).
`_step.py` writes the three transitions of a step inline, because they are the hot path; its writes are literal
and a test holds each of them against this table.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NoReturn

from preemptio._errors import InternalError

if TYPE_CHECKING:
    from preemptio._core._g import G


class Gstatus(IntEnum):
    """The states of a G. Numbers are Go's, so that its documents and habits of reading apply."""

    IDLE = 0
    """The record was just made and belongs to its maker. Not queued."""
    RUNNABLE = 1
    """A step (or the rest of one) is queued. Not running user code. The queue owes it the CPU."""
    RUNNING = 2
    """Runs user code on the current carrier; owns its stack. Not queued."""
    SYSCALL = 3
    """Blocked in the operating system, in a worker thread or under the tick. Runs no Python of this loop."""
    WAITING = 4
    """Blocked at an await. Whoever completes what it awaits owes it a `ready()`."""
    DEAD = 6
    """Its task is done. The record is only history."""
    COPYSTACK = 8
    """Its stack is being moved to another greenlet by the G's own carrier."""
    PREEMPTED = 9
    """Stopped itself for a suspender. Like WAITING, but nobody owes it a `ready()` yet: the suspender that moves
    it to WAITING does from then on."""
    LEAKED = 10
    """Waits for something that nothing alive can complete; found by the leak scan. Like WAITING."""

    SCAN = 0x1000
    """Not a state: the bit that lends the stack to a reader. While it is set no other transition is legal."""
    SCANRUNNABLE = 0x1001
    SCANRUNNING = 0x1002
    """The exception among the scan states: the G keeps running, only its transitions wait for an instant."""
    SCANSYSCALL = 0x1003
    SCANWAITING = 0x1004
    SCANPREEMPTED = 0x1009
    SCANLEAKED = 0x100A

    @property
    def scanned(self) -> bool:
        """Whether the scan bit is set."""
        return self >= 0x1000

    @property
    def base(self) -> Gstatus:
        """The state that the G returns to when the scan bit is dropped."""
        return _BASE.get(self, self)

    def __str__(self) -> str:
        """Show the name as Go's dumps do: `waiting`, `waiting (scan)`."""
        return f"{self.base.name.lower()} (scan)" if self.scanned else self.name.lower()


_BASE: Final = {status: Gstatus(status & 0xFFF) for status in Gstatus if status & Gstatus.SCAN}
_SCANNED: Final = {base: status for status, base in _BASE.items()}

IDLE: Final = Gstatus.IDLE
RUNNABLE: Final = Gstatus.RUNNABLE
RUNNING: Final = Gstatus.RUNNING
SYSCALL: Final = Gstatus.SYSCALL
WAITING: Final = Gstatus.WAITING
DEAD: Final = Gstatus.DEAD
COPYSTACK: Final = Gstatus.COPYSTACK
PREEMPTED: Final = Gstatus.PREEMPTED
LEAKED: Final = Gstatus.LEAKED
SCANPREEMPTED: Final = Gstatus.SCANPREEMPTED
SCANSYSCALL: Final = Gstatus.SCANSYSCALL
SCANWAITING: Final = Gstatus.SCANWAITING

TRANSITIONS: Final[frozenset[tuple[Gstatus, Gstatus]]] = frozenset(
    {
        (IDLE, RUNNABLE),  # newproc: its first step is queued. Go passes through DEAD, for its free list; we have none
        (IDLE, WAITING),  # newproc: an eager task that is met when it already waits
        (IDLE, DEAD),  # newproc: an eager task that ended in its first step
        (RUNNABLE, RUNNING),  # execute
        (RUNNING, RUNNABLE),  # goyield, gopreempt
        (RUNNING, WAITING),  # park
        (WAITING, RUNNABLE),  # ready
        (WAITING, RUNNING),  # only by the G itself, after it pretended to wait
        (RUNNING, SYSCALL),  # entersyscall: under the tick, or at the await of a call in a worker thread
        (SYSCALL, RUNNING),
        (SYSCALL, RUNNABLE),  # exitsyscall, ready
        (RUNNING, COPYSTACK),
        (COPYSTACK, RUNNING),
        (RUNNING, DEAD),  # goexit
        (PREEMPTED, WAITING),  # cas_from_preempted
        (WAITING, LEAKED),
        (LEAKED, WAITING),
    }
)
"""Every transition without the scan bit. The scan family adds s -> s|SCAN -> s for the claimable states."""

CLAIMABLE: Final = frozenset({RUNNABLE, RUNNING, SYSCALL, WAITING, LEAKED})
"""States whose stack a reader may borrow by the scan bit (RUNNING only for the instant of a request)."""

RELEASABLE: Final = CLAIMABLE | {PREEMPTED}
"""States that may drop the scan bit; PREEMPTED enters with it set (`cas_to_preempt_scan`)."""


def bad_transition(g: G, old: Gstatus, new: Gstatus | str, why: str = "") -> NoReturn:
    """Report a transition that must not happen: the runtime's own bookkeeping is wrong."""
    detail = f" ({why})" if why else ""
    raise InternalError(f"G {g.id}: illegal transition {old} -> {new}, it is {g.status}{detail}", g.dump(others=True))


def cas_gstatus(g: G, old: Gstatus, new: Gstatus) -> None:
    """Move `g` from `old` to `new`.

    Go's casgstatus spins while a scanner holds the bit. Here the scanner is another G of the same thread, so
    spinning would never end: a caller that can meet the bit looks first and leaves its work to the resume.

    Raises:
        InternalError: `g` is not in `old`, the pair is not in the table, or either carries the scan bit.

    Context: the loop's thread. Source: proc.go, casgstatus.
    """
    if g.status is not old or (old, new) not in TRANSITIONS:
        bad_transition(g, old, new)
    g.status = new


def cas_to_scan(g: G, status: Gstatus) -> bool:
    """Borrow the stack of `g` if it is still in `status`; report whether it worked. proc.go, castogscanstatus."""
    if status not in CLAIMABLE:
        bad_transition(g, status, f"{status} (scan)", "not a claimable state")
    if g.status is not status:
        return False
    g.status = _SCANNED[status]
    return True


def cas_from_scan(g: G, status: Gstatus) -> None:
    """Give a borrowed stack back: drop the scan bit. Must succeed. proc.go, casfrom_Gscanstatus."""
    base = _BASE.get(status)
    if base not in RELEASABLE or g.status is not status:
        bad_transition(g, status, status.base, "not a held scan state")
    g.status = base


def cas_to_preempt_scan(g: G) -> None:
    """Stop for a suspender and hold the scan bit in the same move. proc.go, casGToPreemptScan."""
    if g.status is not RUNNING:
        bad_transition(g, RUNNING, SCANPREEMPTED)
    g.status = SCANPREEMPTED


def cas_from_preempted(g: G) -> bool:
    """Claim a PREEMPTED G; the one caller that gets True owes it the `ready()`. proc.go, casGFromPreempted."""
    if g.status is not PREEMPTED:
        return False
    g.status = WAITING
    return True
