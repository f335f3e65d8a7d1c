"""The adapter for uvloop: adjacent steps share one place in its queue, and a carrier runs through them.

Problem. uvloop's queue and its turn are C. A hop per step costs a handle and a switch pair each. Capturing steps in a
queue of our own breaks the order, and that crashes uvloop: a cancelling step closed a transport before uvloop's own
queued `connection_made` had run.

What we do. The queue is the one deque that the loop refers to, and it can be appended to from Python. Steps that are
scheduled one after the other with no foreign handle between them form a *run*; a run holds one place in the queue, a
handle that is the same object for all runs (MARK), and its steps wait in a deque of our own. So the order is exactly
uvloop's, and a step costs no handle at all. When MARK's turn comes, a carrier drains the run. MARK goes back to
the head of the queue meanwhile: a step that is scheduled while nothing foreign is queued joins the run that is being
drained, up to the budget, and what is left over keeps its place.

Where the self-check does not find the deque (another build of uvloop), and in debug mode, where every handle must be
a task's own, the loop falls back to a hop per step.

Invariants. `_runs` and the MARKs in the queue correspond one to one, in order. uvloop's idle handle runs whenever the
queue is not empty: the first MARK is put there through uvloop's own call_soon.

Context: `_run_mark` in the hub, as uvloop's callback; `drain` on a carrier.
"""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from preemptio._aio._hop import HopLoop, identity
from preemptio._aio._quiet import FEW, none_due, poller, timers_of
from preemptio._aio._steps import capture
from preemptio._core._parked import Parked
from preemptio._core._step import run_step

if TYPE_CHECKING:
    from preemptio._core._carrier import Carrier
    from preemptio._core._parked import Step
    from preemptio._core._processor import Processor

LOOK_ASLEEP: Final = 1.0
"""Seconds after the last step at which it is asked whether the loop waits for nothing."""


class RunAheadLoop(HopLoop):
    """Mixin for uvloop.Loop."""

    _queue_found = False  # uvloop sets its debug mode before the runtime is there
    _hops_only = True

    def _init_runtime(self) -> None:
        super()._init_runtime()
        self._runs: deque[deque[Step | Parked]] = deque()
        self._stop_asked = False
        self._queue: deque[Any]
        self._mark: Any
        found = self._find_queue()
        self._hops_only = found is None or bool(self.get_debug())  # type: ignore[attr-defined]
        self._queue_found = found is not None
        if found is not None:
            self._queue, self._mark = found
        self._timers = timers_of(self)
        self._asleep_timer: Any = None
        self._poll: Callable[[int], list[Any]] | None = None  # made at its first use: the loop is too young here
        # The interpreter shares the keys of instances' dictionaries, and does not specialise reading from such a one in
        # a subclass of a C type: 300 instructions an attribute instead of 15. A dictionary of its own is specialised.
        self.__dict__ = dict(self.__dict__)

    def _find_queue(self) -> tuple[deque[Any], Any] | None:
        """Return uvloop's queue and a handle of ours to mark runs with, after checking that it is the queue."""
        queues = [o for o in gc.get_referents(self) if type(o) is deque and not o]
        mark = self._base_call_soon(self._run_mark, context=self._empty)
        for queue in queues:
            if len(queue) == 1 and queue[0] is mark:
                queue.pop()
                return queue, mark
        mark.cancel()
        return None

    # -- the queue --

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        """Queue a callback; a task's step joins the run at the end of the queue, or starts one."""
        if context is None:
            return self._base_call_soon(callback, *args)
        if self._hops_only:
            return super().call_soon(callback, *args, context=context)
        g = capture(self._p, callback, args)
        if g is not None:
            if g._extra.aside:
                self._p.queue_aside((g, callback, args, context))
                return None
            queue = self._queue
            if queue and queue[-1] is self._mark:
                self._runs[-1].append((g, callback, args, context))
            else:
                self._start_run((g, callback, args, context))
            return None
        if identity(context) in self._shared:
            return self._base_call_soon(self._run_shared, context, callback, args, context=self._empty)
        if len(args) == 1:  # a done callback's; to unpack a tuple beside a keyword doubles what this costs
            return self._base_call_soon(callback, args[0], context=context)
        return self._base_call_soon(callback, *args, context=context)

    def _repair(self) -> None:
        """Put back MARKs that were lost: a signal handler of the program raised in uvloop's callback of one."""
        for _ in range(len(self._runs) - self._queue.count(self._mark)):
            self._call_mark()

    def _call_mark(self) -> None:
        """Put MARK into the queue by the base loop's own way, which wakes it.

        A thread may append something meanwhile: the last handle need not be the one that was just made.
        """
        handle = self._base_call_soon(self._run_mark, context=self._empty)
        self._queue[self._queue.index(handle)] = self._mark

    def _start_run(self, item: Step | Parked) -> None:
        if self._queue:
            self._queue.append(self._mark)
        elif self._runs:
            self._repair()
            self._runs[-1].append(item)
            return
        else:
            self._call_mark()
        self._runs.append(deque((item,)))

    def enqueue(self, item: Step | Parked) -> None:
        """Queue a step again, or a G that stands in `preemptio.wait` and is ready again."""
        if self._hops_only:
            super().enqueue(item)
        elif self._queue and self._queue[-1] is self._mark:
            self._runs[-1].append(item)
        else:
            self._start_run(item)

    def backlog(self) -> int:
        """Return how many steps wait."""
        return self._hopping + sum(map(len, self._runs))

    def quiet(self) -> bool:
        """Report whether a turn, now, would find nothing to run but parked steps. In the tick handler.

        What the queue holds besides is the place of the run that is being drained and the look at the parked queue.
        uvloop's buffered writes cannot be seen: they wait until the step is switched, which it is now and then.
        """
        if self._hops_only or self._timers is None or any(self._runs):
            return False
        queue = tuple(self._queue)  # at once: another signal's handler may append to it
        if any(handle is not self._mark and handle is not self._dispatch_handle for handle in queue):
            return False
        if self._poll is None:
            self._poll = poller(self._get_backend_id())  # type: ignore[attr-defined]
        return not self._poll(0) and none_due(self._timers)

    def idle(self) -> None:
        """Have it looked at a little later whether the loop waits with no end in sight. In the tick handler.

        Not at once, and if there is a timer, after it: a loop that goes to sleep a hundred times a second is woken
        once. What a timer calls need not be a step, so that nobody would come here again.
        """
        timers = self._timers
        if self.on_asleep is None or timers is None or len(timers) > FEW:
            return
        if self._asleep_timer is None or len(timers) == 1:  # alone, it is later than it need be
            self.post(self._look_asleep_later)

    def _look_asleep_later(self) -> None:
        if self._asleep_timer is not None:
            self._asleep_timer.cancel()
        self._look_after(self._other_timers())

    def _look_after(self, timers: set[Any]) -> None:
        now = time.monotonic()
        wait = LOOK_ASLEEP + max(0.0, min((timer.when() - now for timer in timers), default=0.0))
        self._asleep_timer = self.call_later(wait, self._look_asleep, context=self._empty)

    def _other_timers(self) -> set[Any]:
        return set(self._timers or ()) - {self._asleep_timer}

    def _look_asleep(self) -> None:
        timers = self._other_timers()
        self._asleep_timer = None
        if self.on_asleep is None or len(timers) > FEW:
            return  # after a deadlock was told of nobody looks any more
        if timers:
            self._look_after(timers)
        elif not self._queue:
            self.on_asleep()

    def _busy(self) -> bool:
        return self._hopping > 0 or (self._queue_found and len(self._queue) > 0)

    # -- running --

    def _run_mark(self) -> None:
        """Drain the run whose turn it is. In the hub."""
        p, queue, runs = self._p, self._queue, self._runs
        queue.appendleft(self._mark)
        p.now = time.monotonic()
        p.active = True
        if p.now >= p.check_at:
            self._ticker.check()
        if not p.armed:
            self.arm()
        run = runs[0]
        try:
            if p.watch_turns:
                self._run_told(p.run_batch)
            else:
                p.run_batch()
        finally:
            if not run:
                runs.popleft()
                queue.popleft()
            if runs and not queue:
                self._repair()

    def drain(self, carrier: Carrier) -> None:
        """Run the steps of the first run, up to the budget."""
        if self._single is not None:
            super().drain(carrier)
            return
        while True:
            try:
                self._drain_run(self._p, self._runs[0])
            except BaseException as exc:
                self._step_failed(exc)
                if self._p.attention:
                    return
            else:
                return

    def _drain_run(self, p: Processor, run: deque[Step | Parked]) -> None:
        pop = run.popleft
        left = len(run) if self._stop_asked else min(len(run), p.budget) if p.clocked else p.budget
        item: Any = None
        while left and run:
            left -= 1
            item = pop()
            if type(item) is tuple:
                if run_step(p, item):
                    break
            else:
                p.handoff = item
                break
        del item  # the traceback of a task's exception may keep this frame, and so the task

    # -- the base loop's methods --

    def stop(self) -> None:
        """Stop after the current turn, all of whose steps run whatever the budget says."""
        self._stop_asked = True
        super().stop()  # type: ignore[misc]

    def run_forever(self) -> None:
        """Run until stop() is called."""
        if self._runs and not self.is_closed():  # type: ignore[attr-defined]
            self._repair()
        try:
            super().run_forever()
        finally:
            self._stop_asked = False

    def set_debug(self, enabled: bool) -> None:
        """Set debug mode; every step has a handle of its own while it is on."""
        super().set_debug(enabled)
        self._hops_only = bool(enabled) or not self._queue_found

    def close(self) -> None:
        """Close the loop, dropping what is still queued."""
        super().close()
        if self.is_closed():  # type: ignore[attr-defined]
            self._hops_only = True  # the base refuses, with the error that it has for it
            self._runs.clear()
