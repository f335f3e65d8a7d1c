"""Tick sources: what makes the interpreter look up from a computing step, behind one contract.

- `posix`: timer_create, through ctypes, on Linux. Its signal is SIGURG, as Go's is: nobody uses it, and to a process
  without a handler it means nothing. The kernel deletes the timer at exec, and a signal that was under way then is
  ignored; a fork does not inherit it. Where SIGURG has an owner a real-time signal is taken, which kills who does not
  expect it, so that exec needs care again. The signal is sent to the loop's thread and no other: newer kernels
  would hand it to whichever thread runs, and a call that blocks the loop would not be interrupted.
- `itimer`: setitimer(ITIMER_REAL) and SIGALRM: everywhere but Windows, and the process's only one, which time limits
  (pytest-timeout, an application's own alarm) want for themselves. It outlives an exec. REAL and not VIRTUAL or PROF,
  because those tick with the kernel's jiffy (a 1 ms slice becomes 8 ms) and never fire while the thread is blocked.
- `monitor`: a second thread that looks, and sys.monitoring to interrupt by (`_monitor`). CPython 3.12 and newer, in
  any thread; where signals arrive they are better: they need no GIL to come, and end blocking calls.
- `none`: no tick. Checkpoints read the clock. Loops outside the main thread on 3.11, Windows, or by choice.

Handlers are installed without SA_RESTART (CPython's way), so that a blocking call is interrupted too.

Invariants. A handler is installed only while a loop runs, only if the signal was nobody's, and what was there is
put back only if the handler is still ours. `arm` and `disarm` are idempotent and may be called in the handler.

Context: `start` and `stop` in the loop's thread, `arm`/`disarm` there and in the tick handler.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, Final, Protocol

from preemptio._log import report_source
from preemptio._preempt import _monitor
from preemptio._preempt._monitor import MonitorSource

Handler = Callable[[int, FrameType | None], Any]

SIGEV_THREAD_ID: Final = 4
CLOCK_MONOTONIC: Final = 1
TIMER_RESOLUTION: Final = 0.000_01  # seconds: what the kernel rounds an interval to, with room


class TickSource(Protocol):
    """A periodic interruption of the loop's thread."""

    name: str
    signum: int  # the tick's signal; 0 if it is none
    survives_exec: bool  # left on, it kills the program that is executed next

    def start(self, handler: Handler) -> bool:
        """Install `handler`; False when the signal belongs to somebody else."""

    def stop(self) -> None:
        """Disarm, and give the signal back if it is still ours."""

    def forked(self) -> None:
        """Give the signal back in a forked child, which has not inherited the timer: this source is over there."""

    def arm(self, period: float) -> None:
        """Tick every `period` seconds from now on."""

    def disarm(self) -> None:
        """Stop ticking."""

    def lost(self) -> bool:
        """Report whether somebody took the signal since `start`."""

    def ticking(self) -> bool:
        """Report whether the timer is on; it was armed before."""


class _SignalSource:
    """What both signal sources share: owning the handler of one signal."""

    name = ""
    survives_exec = True

    def __init__(self, signum: int) -> None:
        self.signum = signum
        self._handler: Handler | None = None
        self._before: Any = None

    def _install(self, handler: Handler) -> bool:
        before = signal.getsignal(self.signum)
        if before not in (signal.SIG_DFL, signal.SIG_IGN):
            return False
        self._before, self._handler = before, handler
        signal.signal(self.signum, handler)
        return True

    def forked(self) -> None:
        """Give the signal back: a loop of the child's own wants it. In the child, whose main thread this one is now."""
        self._give_back()

    def _give_back(self) -> None:
        if self._handler is not None and signal.getsignal(self.signum) == self._handler:
            # A tick may be on its way still. The default action of both signals is to kill the process.
            before = signal.SIG_IGN if self._before is signal.SIG_DFL else self._before
            signal.signal(self.signum, before)
            signal.signal(self.signum, self._before)
        self._handler = None

    def ticking(self) -> bool:
        """Report that nobody else can stop the timer."""
        return True

    def lost(self) -> bool:
        """Report whether the handler is not ours any more."""
        return self._handler is not None and signal.getsignal(self.signum) != self._handler


class ItimerSource(_SignalSource):
    """setitimer(ITIMER_REAL): one timer a process."""

    name = "itimer"

    def __init__(self) -> None:
        """Use SIGALRM."""
        super().__init__(signal.SIGALRM)
        self._period = 0.0

    def start(self, handler: Handler) -> bool:
        """Install the handler unless SIGALRM or the timer is in use."""
        return signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0) and self._install(handler)

    def stop(self) -> None:
        """Disarm, unless the timer was set by somebody else since, and restore."""
        if self._period and abs(signal.getitimer(signal.ITIMER_REAL)[1] - self._period) < TIMER_RESOLUTION:
            self.disarm()
        self._give_back()

    def arm(self, period: float) -> None:
        """Set the timer, unless somebody took the signal: a tick would call their handler. 0.7 us."""
        if self.lost():
            return
        self._period = period
        signal.setitimer(signal.ITIMER_REAL, period, period)

    def disarm(self) -> None:
        """Clear the timer, if it is ours still: who took the signal may not have set it."""
        if not self.lost() or (self._period and self.ticking()):
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        self._period = 0.0

    def ticking(self) -> bool:
        """Report whether the process's one timer is still as it was set: alarm(0) clears it too."""
        return abs(signal.getitimer(signal.ITIMER_REAL)[1] - self._period) < TIMER_RESOLUTION


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


class _Sigevent(ctypes.Structure):
    _fields_ = (
        ("sigev_value", ctypes.c_void_p),
        ("sigev_signo", ctypes.c_int),
        ("sigev_notify", ctypes.c_int),
        ("sigev_notify_thread_id", ctypes.c_int),
        ("padding", ctypes.c_char * 44),
    )


_OFF: Final = _Itimerspec()


def _free_signal() -> int:
    """Return SIGURG, or else the highest real-time signal that is free: it is looked at last, and delays no other."""
    wanted = [int(signal.SIGURG), *range(signal.SIGRTMAX, signal.SIGRTMIN, -1)]
    return next((n for n in wanted if signal.getsignal(n) in (signal.SIG_DFL, signal.SIG_IGN)), int(signal.SIGURG))


class PosixTimerSource(_SignalSource):
    """timer_create(CLOCK_MONOTONIC): a timer of our own, with a signal that nobody else uses."""

    name = "posix"

    def __init__(self) -> None:
        """Load the C library's timer functions: to be called with the GIL, since they return at once."""
        super().__init__(_free_signal())
        self.survives_exec = self.signum != signal.SIGURG
        self._libc = ctypes.PyDLL(None, use_errno=True)
        self._timer: ctypes.c_void_p | None = None
        self._period, self._spec = 0.0, _OFF  # what was set last, kept for the next time

    def start(self, handler: Handler) -> bool:
        """Install the handler and make a timer."""
        if not self._install(handler):
            return False
        event = _Sigevent(None, self.signum, SIGEV_THREAD_ID, threading.get_native_id(), b"")
        timer = ctypes.c_void_p()
        if self._libc.timer_create(CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)) != 0:
            self._give_back()
            return False
        self._timer = timer
        return True

    def stop(self) -> None:
        """Delete the timer and restore."""
        if self._timer is not None:
            self._libc.timer_delete(self._timer)
            self._timer = None
        self._give_back()

    def arm(self, period: float) -> None:
        """Set the timer."""
        if period != self._period:
            span = _Timespec(int(period), int(period % 1 * 1e9))
            self._period, self._spec = period, _Itimerspec(span, span)
        self._set(self._spec)

    def disarm(self) -> None:
        """Clear the timer."""
        self._set(_OFF)

    def _set(self, spec: _Itimerspec) -> None:
        if self._timer is not None:
            self._libc.timer_settime(self._timer, 0, ctypes.byref(spec), None)


class NullSource:
    """No tick."""

    name = "none"
    signum = 0
    survives_exec = False

    def start(self, handler: Handler) -> bool:
        """Do nothing, successfully."""
        return True

    def stop(self) -> None:
        """Do nothing."""

    def forked(self) -> None:
        """Do nothing."""

    def arm(self, period: float) -> None:
        """Do nothing."""

    def disarm(self) -> None:
        """Do nothing."""

    def ticking(self) -> bool:
        """Return True: there is nothing to stop."""
        return True

    def lost(self) -> bool:
        """Return False: there is nothing to lose."""
        return False


def _in_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def always() -> bool:
    """Have every look made in the loop's thread."""
    return True


def candidates(choice: str, glance: Callable[[], bool] = always) -> list[Callable[[], TickSource]]:
    """Return the sources to try, in order, for the knob `source`; `glance` is for the monitor (_monitor.py)."""
    in_main = _in_main_thread()
    if choice == "monitor" or (choice == "auto" and not in_main):
        return [partial(MonitorSource, glance), NullSource]
    if choice == "none" or not in_main or not hasattr(signal, "setitimer"):
        return [NullSource]
    posix: list[Callable[[], TickSource]] = [PosixTimerSource] if sys.platform == "linux" else []
    if choice == "itimer":
        return [ItimerSource, NullSource]
    if choice == "posix":
        return [*posix, NullSource]
    return [*posix, ItimerSource, NullSource]


def open_source(choice: str, handler: Handler, glance: Callable[[], bool] = always) -> TickSource:
    """Start the first source that is free; the null source always is."""
    wanted = ""
    for make in candidates(choice, glance):
        source = make()
        wanted = wanted or source.name
        if source.start(handler):
            if source.name != wanted:
                _report_once(wanted, source.name, why_not(wanted))
            elif source.name != choice and choice in ("itimer", "posix") and not _in_main_thread():
                _report_once(choice, source.name, OUTSIDE)
            return source
    return NullSource()


OUTSIDE: Final = "signals arrive in the main thread only: checkpoints give way here; PREEMPTIO_SOURCE=auto may do more"


def why_not(source: str) -> str:
    """Say why a source could not be started."""
    if source != "monitor":
        return "its signal or timer belongs to somebody else in this process"
    if not _monitor.AVAILABLE:
        return "the monitor takes CPython 3.12 or newer: only checkpoints give way here"
    return "no thread can start, or sys.monitoring has no tool id left: only checkpoints give way here"


_reported: set[tuple[str, str]] = set()


def _report_once(wanted: str, used: str, why: str) -> None:
    if (wanted, used) not in _reported:
        _reported.add((wanted, used))
        report_source(wanted, used, why)
