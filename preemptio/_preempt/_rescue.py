"""A step that blocks the thread: how it is told from one that computes, and where it may be set aside.

Problem. `time.sleep(1)`, `lock.acquire()`, `requests.get(...)` in an `async def` stop the whole loop. The tick can
interrupt such a call: the system call returns with EINTR, the handler runs inside the C function, and when it comes
back the function goes on waiting (PEP 475). A handler that switches away meanwhile lets the others run. But a handler
also runs inside C functions that compute and poll for signals, and there a switch tears what is atomic.

What does not work. The CPU clock alone: a thread that waits for the GIL, or that the machine has put aside, uses no
CPU either.

What we do. A step is blocked when two ticks in a row find it at the same place, on a call of a function that is known
to wait (`WAITS`, or a module of the standard library that is written for threads), and the kernel says that the thread
went to sleep by itself in between. To be wrong about the last part costs nothing then: at a call that waits others may
always run, as at an await. The same frames as ever must not be below it: no async-aware library, no import, no
logging, no asyncio. Nor may the step hold an RLock, which belongs to the thread and would let the next task in.

Invariants. What is set aside here is inside a C function; it is only ever resumed, never restarted. Where the kernel
counts no switches per thread (not Linux) nothing is rescued.

Context: tick handler.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import BuiltinFunctionType, FrameType, ModuleType
from typing import TYPE_CHECKING, Final

from preemptio._core._headroom import CannotLeaveError, NoRoomError
from preemptio._preempt import _iframe
from preemptio._preempt._callee import callee
from preemptio._preempt._codes import GO_FRAMES
from preemptio._preempt._held import holds_as_thread
from preemptio._preempt._whose import COROUTINE, Whose

if TYPE_CHECKING:
    from types import CodeType

    from preemptio._core._g import G
    from preemptio._core._processor import Processor
    from preemptio._preempt._safepoint import SafePoints

WAITS: Final = {
    "time": {"sleep"},
    "select": {"select"},
    "posix": {"read", "readv", "wait", "wait3", "wait4", "waitid", "waitpid", "open", "flock", "lockf"},
    "fcntl": {"flock", "lockf"},
    "signal": {"sigwait", "sigwaitinfo", "sigtimedwait", "pause"},
    "_thread.lock": {"acquire", "acquire_lock", "__enter__"},
    "_thread.RLock": {"acquire", "__enter__"},
    "_queue.SimpleQueue": {"get"},
    "_socket.socket": {"accept", "connect", "recv", "recv_into", "recvfrom", "recvmsg", "send", "sendall", "sendto"},
    "select.epoll": {"poll"},
    "select.poll": {"poll"},
    "_multiprocessing.SemLock": {"acquire", "__enter__"},
}
"""C functions that wait with the GIL released and go on after EINTR: by module, or by the type whose method it is."""

THREADED: Final = frozenset(
    {"concurrent", "http", "multiprocessing", "queue", "select", "selectors", "smtplib", "socket", "ssl"}
    | {"subprocess", "threading", "urllib"}
)
"""Standard-library modules that are written to be used by many threads at once: a step may be set aside in them."""


def thread_switches() -> int:
    """Return how often this thread went to sleep by itself; -1 where nobody counts."""
    return -1


if sys.platform == "linux":
    import resource

    def thread_switches() -> int:
        """Return how often this thread went to sleep by itself."""
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


FIRST_LOOK: Final = 0.002
LAST_LOOK: Final = 0.05
"""Seconds after which a step that was set aside is looked at again: doubled each time that it still waits."""

LOOK_SOON: Final = 0.000_2
"""Seconds that such a look takes if it does: the thread sleeps in the call until the tick."""


class Rescue:
    """One ticker's dealings with steps that block."""

    def __init__(self, p: Processor, rules: SafePoints, report: Callable[[G, CodeType, int], None]) -> None:
        """Start with nothing seen; `report` tells the user of the first such call in a file."""
        self._p = p
        self._rules = rules
        self._report = report
        self._seen: tuple[int, CodeType, int] | None = None
        self._switches = -1

    def still_there(self, g: G, frame: FrameType) -> bool:
        """Report whether the tick before saw the step here too, and the thread slept since."""
        blocked_at = g.extra().blocked_at
        if blocked_at is not None and blocked_at[:2] == (frame.f_code, frame.f_lasti):
            return True
        seen, switches = (self._p.schedtick, frame.f_code, frame.f_lasti), thread_switches()
        slept = seen == self._seen and switches > self._switches
        self._seen, self._switches = seen, switches
        return slept

    def set_aside(self, g: G, frame: FrameType) -> None:
        """Leave the carrier in the call: entersyscall. Returns, inside the call, when the G is looked at again."""
        extra, code, lasti = g.extra(), frame.f_code, frame.f_lasti
        before = extra.blocked_at
        if before is not None and before[:2] == (code, lasti):
            delay = min(2 * before[2], LAST_LOOK)
        else:
            delay = FIRST_LOOK
            users = self._users(frame)
            self._p.host.post(self._report, g, users.f_code, users.f_lineno)
        try:
            exc = self._p.entersyscall(g, (code, lasti, delay))
        except (NoRoomError, CannotLeaveError):
            return
        if exc is not None:
            raise exc

    def _users(self, frame: FrameType) -> FrameType:
        """Return the frame of the user's that called what blocks."""
        at: FrameType | None = frame
        while at is not None:
            if self._whose(at) is Whose.USER:
                return at
            at = at.f_back
        return frame

    def may_leave(self, frame: FrameType) -> bool:
        """Report whether the step may be set aside in the call that this frame is in."""
        if not self._thread_module(frame) and not _waits(frame):
            return False
        at: FrameType | None = frame
        while at is not None:
            if at.f_code.co_flags & COROUTINE:
                return not holds_as_thread(frame) and (at.f_code in GO_FRAMES or self._whose(at) is Whose.USER)
            whose = self._whose(at)
            if (
                whose in {Whose.IMPORT, Whose.ASYNC_LIBRARY, Whose.RUNTIME, Whose.DENIED}
                or at.f_code.co_name == "__del__"
            ):
                return False
            if whose is Whose.STDLIB and not self._thread_module(at):
                return False
            at = at.f_back
        return False

    def _whose(self, frame: FrameType) -> Whose:
        """Ask with the policy of the G whose step runs."""
        step = self._p.step
        rules = self._rules if step is None else self._rules.of(step[0])
        return rules.ownership.whose(frame)

    def _thread_module(self, frame: FrameType) -> bool:
        name = str(frame.f_globals.get("__name__", ""))
        return self._whose(frame) is Whose.STDLIB and name.partition(".")[0] in THREADED


def _started(frame: FrameType) -> tuple[object, str] | None:
    """Return what `go` was given, if that is written in C, as `callee` returns it."""
    fn = _iframe.local(frame, 0) if _iframe.AVAILABLE else None
    return (fn.__self__, fn.__name__) if isinstance(fn, BuiltinFunctionType) else None


def _waits(frame: FrameType) -> bool:
    """Report whether the frame is on a call of a function that is known to wait."""
    found = _started(frame) if frame.f_code in GO_FRAMES else callee(frame)
    if found is None:
        return False
    owner, name = found
    if isinstance(owner, ModuleType):
        function = vars(owner).get(name)
        home = getattr(function, "__module__", None)
        return type(function) is type(len) and name in WAITS.get(str(home), ())
    return any(name in WAITS.get(f"{kind.__module__}.{kind.__qualname__}", ()) for kind in type(owner).__mro__)
