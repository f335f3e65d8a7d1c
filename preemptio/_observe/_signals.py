"""Signals: a dump at SIGQUIT, and whose handlers there are.

Problem. A service hangs, and nobody thought of a console. Go and the JVM print all their threads at SIGQUIT.

What does not work. To make the dump in the handler: it runs between two instructions of whatever the main thread does,
also of the scheduler's. To have the handler post to the loop: a loop that is stuck answers nobody. To start a thread in
the handler: it may have interrupted the start of a thread, which holds a lock.

What we do. The handler puts a word into a SimpleQueue, which is made for that. A thread that waits there makes the dump
as every thread does: it asks the loop, and reads from outside if the loop does not answer within a second.

Only if PREEMPTIO_DEBUG=sigquit=1 asks for it, and while a loop runs in the main thread. A handler that is there is
called after ours; one of C code (faulthandler's) cannot be put back, so it stays and ours does not come. What was there
is put back at the end. A forked child has no thread, and gets back what was there, too.

Not seen: a signal that comes in one long C call, until that returns. There `faulthandler.register(SIGQUIT)` helps.

Context: `handle` in the signal handler; `_run` in the thread; the rest in the loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import signal
import sys
import threading
from functools import partial
from types import FrameType
from typing import Any, Final

from preemptio._aio._runtime import ON_START, ON_STOP
from preemptio._log import report_internal, report_signal
from preemptio._observe._dump import dump
from preemptio._observe._snapshot import TIMEOUT

SIGQUIT: Final[int | None] = getattr(signal, "SIGQUIT", None)


class Quit:
    """Listens to SIGQUIT for one loop."""

    def __init__(self, loop: Any) -> None:
        """Do nothing yet."""
        self.loop = loop
        self._before: Any = None
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="preemptio-sigquit", daemon=True)

    def start(self, number: int) -> bool:
        """Take the signal, unless C code has it; report whether it was taken."""
        self._before = signal.getsignal(number)
        if self._before is None or (not callable(self._before) and _caught_in_c(number)):
            return False
        self._thread.start()
        signal.signal(number, self.handle)
        return True

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Ask for a dump, and call the handler that was there."""
        self._asked.put(True)
        if callable(self._before):
            self._before(number, frame)

    def give_back(self, number: int) -> None:
        """Put back what was there, unless somebody else has taken the signal meanwhile."""
        if signal.getsignal(number) == self.handle:
            signal.signal(number, self._before)

    def stop(self) -> None:
        """End the thread, after what it is writing."""
        self._asked.put(False)
        self._thread.join(2 * TIMEOUT)

    def _run(self) -> None:
        while self._asked.get():
            try:
                dump(sys.stderr)
            except Exception as exc:
                report_internal("dump at SIGQUIT", exc)


def _caught_in_c(number: int) -> bool:
    """Report whether the kernel has a handler of which the interpreter, which has none, knows nothing. On Linux."""
    try:
        with open("/proc/self/status") as status:
            mask = next(line.split()[1] for line in status if line.startswith("SigCgt:"))
    except (OSError, StopIteration):
        return False
    return bool(int(mask, 16) >> number - 1 & 1)


_quit: Quit | None = None  # writers: _start, _stop, _in_child
_hooked = False
_told = False  # a run of a program is several runs of its loop


def _start(loop: Any) -> None:
    global _quit, _hooked, _told  # noqa: PLW0603 - a signal belongs to the process
    if not loop._debug_flags.sigquit or SIGQUIT is None or threading.current_thread() is not threading.main_thread():
        return
    if _quit is not None:
        return
    found = Quit(loop)
    if not found.start(SIGQUIT):
        if not _told:
            _told = True
            report_signal("SIGQUIT", "a handler of C code, such as faulthandler's, has it and could not be put back")
        return
    _quit = found
    if not _hooked and hasattr(os, "register_at_fork"):
        _hooked = True
        os.register_at_fork(after_in_child=_in_child)


def _stop(loop: Any) -> None:
    global _quit
    if _quit is not None and _quit.loop is loop and SIGQUIT is not None:
        found, _quit = _quit, None
        found.give_back(SIGQUIT)
        found.stop()


def _in_child() -> None:
    global _quit
    if _quit is not None and SIGQUIT is not None:
        found, _quit = _quit, None
        with contextlib.suppress(ValueError):  # not the main thread
            found.give_back(SIGQUIT)


def could_wake() -> bool:
    """Report whether the program has a handler of its own for a signal, which may wake a task.

    Those that only end the program do not count: the interpreter's for SIGINT, and that of asyncio.run.
    """
    return any(_wakes(signal.getsignal(number)) for number in signal.valid_signals())


def _wakes(handler: Any) -> bool:
    if not callable(handler) or handler is signal.default_int_handler:
        return False
    if type(handler) is partial and getattr(handler.func, "__func__", None) is asyncio.Runner._on_sigint:  # type: ignore[attr-defined]
        return False
    return not str(getattr(handler, "__module__", "")).startswith("preemptio.")


ON_START.append(_start)
ON_STOP.append(_stop)
