"""The tick of a loop to whose thread signals do not come: a second thread that looks, and sys.monitoring.

Problem. Python runs signal handlers in the main thread only. A loop in another thread has to be made to look up from a
computing step in some other way.

What does not work. `threading.settrace_all_threads` puts its function in the place of every thread's own: a debugger or
a coverage tool in a third thread loses its trace function, which cannot be read from here, and so not be put back.
`PyThreadState_SetAsyncExc` raises in the middle of anything. Pending calls run in the main thread. Global events of
sys.monitoring have all code of all threads instrumented anew, twice for each request.

What we do. A thread sleeps for the period and looks, from outside, whether the step that runs is the one that it saw
before (`glance`). Only then it asks the loop's thread to look for itself: it sets two events of sys.monitoring, entry
of a function and jump, for the code objects that are on the stack of the step, and for nothing else. The first such
event in the loop's thread withdraws the request and calls the tick handler, on top of the frame. So the events are
places where a signal could have been taken, too: an entry or a back edge, which the rules need not find out again.
The handler is called by `sys.call_tracing`, because it may switch away; see _seek.py for why. Seeking starts from
there, as it does from a signal.

Any other thread that runs the same code meanwhile is called back too, finds that it was not meant, and goes on. So a
request must not stay: it lives for one period. A step that does not answer is blocked in C code, or has no chance to
run; it is asked again after one period, then two, and so on up to `PATIENCE`.

The thread needs the GIL for its look, and gets it only after the switch interval, when somebody computes. So it goes to
sleep for that much less, and the ticker keeps the interval to an eighth of a period (`_gil`).

Nothing here can end a system call: a step that blocks its thread in another thread is not set aside.

Invariants. One thread per running loop; it has ended, and nothing is asked, before `stop` returns. It is no `threading`
thread: it has nobody's trace function and is waited for by nobody when the interpreter ends. There are no locks between
it and the loop's thread: what both write is a field or a dictionary's item, and an event that nobody asked for, because
a request was withdrawn while it was being made, is removed by whoever meets it. In a forked child there is no request.

Context: `start`, `stop`, `arm`, `disarm` in the loop's thread, the latter two also in the second thread (by `glance`);
`_run` and what it calls in the second thread; `_on_event` in the interpreter's callback, in any thread.
"""

from __future__ import annotations

import _thread
import os
import sys
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import CodeType, FrameType
from typing import Any, Final

from preemptio._preempt._whose import COROUTINE

_monitoring: Final[Any] = getattr(sys, "monitoring", None)

AVAILABLE: Final = _monitoring is not None
"""Whether this interpreter has sys.monitoring: CPython 3.12 and newer."""

TOOLS: Final = (4, 3)
"""Tool ids that sys.monitoring has reserved for nobody."""

EVENTS: Final = _monitoring.events.PY_START | _monitoring.events.JUMP if AVAILABLE else 0

DEPTH: Final = 64
"""Frames of a step, from the innermost outward, in which a request can be met."""

PATIENCE: Final = 8
"""Periods, at the most, for which a step that does not answer is not asked again."""

SHORTEST: Final = 0.000_05
"""Seconds: the shortest sleep between two looks."""

JOIN: Final = 5.0
"""Seconds after which an ending loop gives its thread up: one that the ending interpreter has stopped never answers."""

_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RUNTIME_FILES: Final = tuple(os.path.join(_PACKAGE, part) + os.sep for part in ("_core", "_preempt", "_aio"))
"""Where code lies that a request would meet in vain, since it is never preempted."""

Handler = Callable[[int, FrameType | None], Any]
Look = Callable[[int, FrameType], Any]


class Requests:
    """What threads are asked to do at their next event: the process's one use of sys.monitoring."""

    def __init__(self) -> None:
        """Start without a tool id."""
        self._tool = -1
        self._users = 0
        self._claiming = _thread.allocate_lock()
        self._asked: dict[int, tuple[dict[int, CodeType], Look]] = {}  # by thread; code objects by their id

    def open(self) -> bool:
        """Claim a tool id, or share the one that is claimed; False if there is none free."""
        with self._claiming:
            if self._users == 0 and not self._claim():
                return False
            self._users += 1
            return True

    def _claim(self) -> bool:
        for tool in TOOLS:
            try:
                _monitoring.use_tool_id(tool, "preemptio")
            except ValueError:
                continue
            for event in (_monitoring.events.PY_START, _monitoring.events.JUMP):
                _monitoring.register_callback(tool, event, self._on_event)
            self._tool = tool
            return True
        return False

    def close(self) -> None:
        """Give the tool id back when the last user has gone."""
        with self._claiming:
            self._users -= 1
            if self._users == 0:
                self._release()

    def _release(self) -> None:
        tool, self._tool = self._tool, -1
        for event in (_monitoring.events.PY_START, _monitoring.events.JUMP):
            _monitoring.register_callback(tool, event, None)
        _monitoring.free_tool_id(tool)

    def forked(self) -> None:
        """Forget everything: who asked is in the parent. In the forked child."""
        self._claiming = _thread.allocate_lock()
        self._users = 0
        for thread in list(self._asked):
            self.withdraw(thread)
        if self._tool >= 0:
            self._release()

    def ask(self, thread: int, codes: dict[int, CodeType], look: Look) -> None:
        """Have `look(0, frame)` called in `thread` at the next entry or back edge in any of these code objects."""
        self._asked[thread] = codes, look
        for code in codes.values():
            self._set(code, EVENTS)

    def withdraw(self, thread: int) -> bool:
        """Take a request back; report whether there was one that had not been met."""
        asked = self._asked.pop(thread, None)
        if asked is None:
            return False
        for code in asked[0].values():
            self._clear(code)
        return True

    def _clear(self, code: CodeType) -> None:
        if not any(id(code) in codes for codes, _ in list(self._asked.values())):
            self._set(code, 0)

    def _set(self, code: CodeType, events: int) -> None:
        try:
            _monitoring.set_local_events(self._tool, code, events)
        except ValueError:  # no tool any more: somebody else's loop ended meanwhile, and no callback is left
            return

    def _on_event(self, code: CodeType, offset: int, target: int = -1) -> None:
        thread = _thread.get_ident()
        asked = self._asked.get(thread)
        if asked is None or id(code) not in asked[0]:
            self._clear(code)
            return
        if target > offset:
            return  # a jump forward
        try:
            self.withdraw(thread)
            frame = sys._getframe(1)
        except RecursionError:  # the frame below is the user's, and has room for what it does
            return
        sys.call_tracing(asked[1], (0, frame))


REQUESTS: Final = Requests()


class MonitorSource:
    """A thread that looks at the loop's thread, and interrupts it by events of sys.monitoring."""

    name = "monitor"
    signum = 0
    survives_exec = False

    def __init__(self, glance: Callable[[], bool]) -> None:
        """`glance()`, called in the second thread, says whether the loop's thread must look for itself."""
        self._glance = glance
        self._handler: Handler | None = None
        self._loops = 0  # the loop's thread
        self._pid = 0
        self._period = 0.0  # writers: arm, disarm
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._ending = False
        self._ended = _thread.allocate_lock()  # held while the second thread runs
        self._patience = 1  # periods until the next question; writers: the second thread, _look
        self._pause = 0  # of these, how many are left

    def start(self, handler: Handler) -> bool:
        """Start the thread; False where sys.monitoring or threads are not to be had."""
        if not AVAILABLE or not REQUESTS.open():
            return False
        self._handler, self._loops, self._pid = handler, _thread.get_ident(), os.getpid()
        self._ended.acquire()
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError:  # the interpreter is ending, or the process has too many
            self._ended.release()
            self._handler = None
            REQUESTS.close()
            return False
        return True

    def stop(self) -> None:
        """End the thread and wait for it."""
        if self._handler is None:
            return
        self._ending = True
        self._wake.put(None)
        self._ended.acquire(timeout=JOIN)
        self._handler = None
        REQUESTS.withdraw(self._loops)
        REQUESTS.close()

    def forked(self) -> None:
        """Do nothing: there is no second thread in a forked child, and REQUESTS forgets by itself."""

    def arm(self, period: float) -> None:
        """Look every `period` seconds. The sleeping thread is woken only to have it look sooner."""
        before, self._period = self._period, period  # straight-line code: `disarm` cannot come in between
        if not before or period < before:
            self._wake.put(None)

    def disarm(self) -> None:
        """Stop looking: the thread finds it so when it wakes, and sleeps until it is armed again."""
        self._period = 0.0

    def ticking(self) -> bool:
        """Report that nobody else can stop it."""
        return True

    def lost(self) -> bool:
        """Report that nobody can take it away."""
        return False

    # -- the second thread --

    def _run(self) -> None:
        try:
            while not self._ending:
                if not self._woken() and self._period and not self._ending:
                    self._look_from_here()
        finally:
            self._ended.release()

    def _woken(self) -> bool:
        """Sleep for a period, or without one until somebody wakes us; report whether somebody did."""
        period = self._period
        if not period:
            self._wake.get()
            return True
        try:
            self._wake.get(timeout=max(period - sys.getswitchinterval(), SHORTEST))
        except Empty:
            return False
        return True

    def _look_from_here(self) -> None:
        handler = self._handler
        if REQUESTS.withdraw(self._loops):
            self._pause, self._patience = self._patience, min(2 * self._patience, PATIENCE)
        if handler is None or not self._glance():
            self._pause, self._patience = 0, 1
        elif self._pause:
            self._pause -= 1
        else:
            codes = self._step()
            if codes:
                REQUESTS.ask(self._loops, codes, self._look)

    def _step(self) -> dict[int, CodeType]:
        """Return the code objects on the step's stack, from the innermost frame to its owner; not the runtime's."""
        codes: dict[int, CodeType] = {}
        frame = sys._current_frames().get(self._loops)
        for _ in range(DEPTH):
            if frame is None:
                return {}  # between steps, by now
            code = frame.f_code
            if not code.co_filename.startswith(RUNTIME_FILES):
                codes[id(code)] = code
            if code.co_flags & COROUTINE:
                break
            frame = frame.f_back
        return codes

    # -- the loop's thread --

    def _look(self, signum: int, frame: FrameType) -> None:
        self._pause, self._patience = 0, 1
        handler = self._handler
        if handler is not None and os.getpid() == self._pid:
            handler(signum, frame)


def cpu_clock() -> int | None:
    """Return the clock of this thread's CPU time, which other threads can read; None where there is none."""
    make = getattr(time, "pthread_getcpuclockid", None)
    return None if make is None else make(_thread.get_ident())
