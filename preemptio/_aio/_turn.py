"""The adapter for asyncio's own loop: one queue, its order kept, its whole turn on a carrier.

Problem. Steps must run on carriers and in their place among the loop's other handles.

What does not work. A second queue beside the loop's: a step overtakes a handle that was queued before it.

What we do. Captured steps go into the loop's own `_ready`, as light tuples instead of Handle objects. The turn itself
- timers, select, events, ready handles - is ours and runs on a carrier, so a step costs no greenlet switch, and a
preempted step simply stays behind on its carrier while a fresh one goes on with the turn. The hub only chooses:
a parked step that is due, or a carrier.

The batch. asyncio runs what is ready, then polls. Here a batch also takes what becomes ready meanwhile, up to the
budget: polling after every step is what makes a stock step dear. A tick ends the batch, so I/O never waits longer
than a slice or two for it. Without a tick the batch is asyncio's.

A batch can be cut before the callbacks of a poll have run. A second poll would find the same sockets readable and queue
their callbacks once more, faster than they run when there are many of them: under load the queue would only grow. So
a marker stands behind what a poll has found, and there is no other poll before it has been met.

`stop()` keeps asyncio's meaning: what was ready when the turn began still runs, what those callbacks schedule does
not. A marker in the queue says where that boundary is; it stays there when a preemption cuts the batch short.

Context: `_run_once` in the hub, `drain` on a carrier.
"""

from __future__ import annotations

import heapq
import selectors
import time
from asyncio import base_events, events
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from preemptio._aio._quiet import poller
from preemptio._aio._runtime import RuntimeLoop
from preemptio._aio._steps import capture
from preemptio._core._parked import Parked
from preemptio._core._step import run_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from preemptio._core._carrier import Carrier
    from preemptio._core._parked import Step

MAX_SELECT: Final = 24 * 3600
_MIN_TIMERS: Final = base_events._MIN_SCHEDULED_TIMER_HANDLES  # type: ignore[attr-defined]
_MIN_CANCELLED: Final = base_events._MIN_CANCELLED_TIMER_HANDLES_FRACTION  # type: ignore[attr-defined]


class DebugStep:
    """The context of a captured step in debug mode: a real Handle, so that slow-callback reports are asyncio's own."""

    __slots__ = ("entered", "handle", "loop")

    def __init__(self, loop: TurnLoop, handle: events.Handle) -> None:
        """Wrap the handle of a step."""
        self.loop = loop
        self.handle = handle
        self.entered = handle._context  # type: ignore[attr-defined]

    def run(self, _callback: object) -> None:
        """Run the step as Context.run would, by way of its handle."""
        if id(self.entered) in self.loop._p.blocked_contexts:
            msg = "the context is entered by a parked step"  # what Context.run says; Handle._run would log it
            raise RuntimeError(msg)
        self.loop._run_timed(self.handle)
        del self, _callback  # as Handle._run does: the traceback of an exception may keep this frame


class _End:
    """The end of a batch, in the queue itself: what is ready when a turn begins stands before it."""

    _cancelled = True  # as of a handle that nobody runs; whoever else takes it from the queue skips it


END: Final = _End()

POLLED: Final = _End()
"""The end, in the queue, of what the last poll found; see above."""


class TurnLoop(RuntimeLoop):
    """Mixin for asyncio.BaseEventLoop and what keeps its `_run_once`."""

    _ready: deque[Any]
    _scheduled: list[events.TimerHandle]
    _timer_cancelled_count: int
    _stopping: bool
    _closed: bool
    _debug: bool
    _selector: Any
    _clock_resolution: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the base loop, then its runtime."""
        super().__init__(*args, **kwargs)
        self._init_runtime()

    def _init_runtime(self) -> None:
        super()._init_runtime()
        self._end_queued = False  # END is in the queue
        self._polled = False  # POLLED is
        self._due = False  # the hub must resume a parked step
        self._quiet = 0  # turns in a row with nothing ready
        epoll = isinstance(self._selector, getattr(selectors, "EpollSelector", ()))
        self._poll = poller(self._selector.fileno()) if epoll else None

    # -- the queue --

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        """Queue a callback; a task's step becomes a ready G in the same queue."""
        if self._debug or self._closed:
            return self._call_soon_checked(callback, args, context)
        if context is not None:
            g = capture(self._p, callback, args)
            if g is not None:
                if g._extra.aside:
                    self._p.queue_aside((g, callback, args, context))
                else:
                    self._ready.append((g, callback, args, context))
                return None
        handle = events.Handle(callback, args, self, context)  # type: ignore[arg-type]
        self._ready.append(handle)
        return handle

    def _call_soon_checked(self, callback: Callable[..., Any], args: tuple[Any, ...], context: Any) -> Any:
        self._check_closed()  # type: ignore[attr-defined]
        self._check_thread()  # type: ignore[attr-defined]
        self._check_callback(callback, "call_soon")  # type: ignore[attr-defined]
        handle = events.Handle(callback, args, self, context)  # type: ignore[arg-type]
        if handle._source_traceback:  # type: ignore[attr-defined]
            del handle._source_traceback[-2:]  # type: ignore[attr-defined]
        g = capture(self._p, callback, args) if context is not None else None
        if g is None:
            self._ready.append(handle)
        else:
            self._p.queue_step((g, callback, (), DebugStep(self, handle)))
        return handle

    def enqueue(self, item: Step | Parked) -> None:
        """Queue a step, or a G that stands in `preemptio.wait` and is ready again."""
        self._ready.append(item)

    def kick(self) -> None:
        """Do nothing: every turn looks at the parked queue."""

    def backlog(self) -> int:
        """Return the length of the queue: mostly steps."""
        return len(self._ready) - self._end_queued - self._polled

    def quiet(self) -> bool:
        """Report whether a turn, now, would find nothing to run but parked steps. In the tick handler."""
        poll = self._poll
        if poll is None or len(self._ready) > self._end_queued + self._polled or self._stopping or poll(0):
            return False
        scheduled = self._scheduled
        return not scheduled or scheduled[0]._when > time.monotonic()  # type: ignore[attr-defined]

    # -- the turn --

    def _run_once(self) -> None:
        """Give the CPU to a parked step that is due, or to a carrier that runs turns. In the hub."""
        if self._running_since is None:  # installed on a running loop, or driven by hand
            self._start_runtime()
        p = self._p
        try:
            if self._due:
                self._due = False
                if p.parked.heap:
                    p.resume_parked()
            else:
                p.run_batch()
            while self._stopping and self._end_queued:  # a preemption cut the last batch short
                p.run_batch()
        finally:
            if self._stopping:
                self._stop_runtime()

    def drain(self, carrier: Carrier) -> None:
        """Run turns until the hub is needed."""
        del carrier
        while True:
            try:
                if self._turns():
                    return
            except BaseException as exc:
                self._step_failed(exc)
                if self._p.attention:
                    return

    def _turns(self) -> bool:
        """Run turns; True when the hub must choose again. Written out in one piece: every callback passes here."""
        p = self._p
        ready = self._ready
        pop = ready.popleft
        select = self._select_watched if p.watch_turns else self._selector.select
        budget = range(p.budget)
        while True:
            if not (self._stopping and self._end_queued):
                p.active = False
                if not self._polled:
                    found = select(0 if ready or p.parked.heap or self._stopping else self._timeout())
                    if found:
                        self._queue_found(found)
                        found = None  # as asyncio does: it would keep handles alive
                p.now = time.monotonic()
                if self._scheduled:
                    self._move_timers()
                if p.parked.heap and self._parked_is_due():
                    return True
            if not ready:
                if self._stopping:
                    return True
                continue
            p.active = True
            if p.now >= p.check_at:
                self._ticker.check()
            if not p.armed:
                self.arm()
            if not self._end_queued:
                self._end_queued = True
                ready.append(END)
            for _ in budget:
                item = pop()
                kind = type(item)
                if kind is tuple:
                    if run_step(p, item):
                        del item  # the traceback of a task's exception may keep this frame, and so the task
                        return True
                elif kind is Parked:
                    p.handoff = item
                    return True
                elif not item._cancelled:
                    p.step = None
                    if self._debug or p.blocked_contexts:
                        self._run_handle(item)
                    else:
                        item._run()
                elif item is END:
                    p.step = None
                    self._end_queued = False
                    if self._stopping:
                        return True
                    if not ready or p.clocked:
                        break
                    self._end_queued = True
                    ready.append(END)
                elif item is POLLED:
                    self._polled = False
            p.step = None

    def _queue_found(self, found: Any) -> None:
        """Queue the callbacks of what a poll has found, and the marker behind them."""
        self._process_events(found)  # type: ignore[attr-defined]
        self._polled = True
        self._ready.append(POLLED)

    def _parked_is_due(self) -> bool:
        """Count quiet turns; tell the hub when a parked step has its turn."""
        if self._stopping:
            return False
        self._quiet = 0 if self._ready else self._quiet + 1
        if self._p.parked.due(self._p.now, self._quiet):
            self._due = True
            self._quiet = 0
        return self._due

    def _run_handle(self, handle: events.Handle) -> None:
        """Run what is not a task's step: a callback."""
        p = self._p
        if p.blocked_contexts and p.blocked_contexts.wait(handle._context, partial(self._ready.append, handle)):  # type: ignore[attr-defined]
            return
        if self._debug:
            self._run_timed(handle)
        else:
            handle._run()
        del handle

    def _run_timed(self, handle: events.Handle) -> None:
        start = self.time()  # type: ignore[attr-defined]
        self._current_handle = handle
        try:
            handle._run()
        finally:
            self._current_handle = None  # type: ignore[assignment]
        taken = self.time() - start  # type: ignore[attr-defined]
        if taken >= self.slow_callback_duration:  # type: ignore[attr-defined]
            text = base_events._format_handle(handle)  # type: ignore[attr-defined]
            base_events.logger.warning("Executing %s took %.3f seconds", text, taken)  # type: ignore[attr-defined]
        del handle

    # -- polling --

    def _select_watched(self, timeout: float | None) -> Any:
        """Poll, and tell instruments that a turn has ended and another begins."""
        instruments = self._p.instruments
        instruments.tell(instruments.turn_ended)
        found = self._selector.select(timeout)
        instruments.tell(instruments.turn_began)
        return found

    def _timeout(self) -> float | None:
        """Return how long the selector may wait when nothing is ready: until the next timer."""
        scheduled = self._scheduled and self._drop_cancelled_timers()
        if not scheduled:
            return 0 if self.on_asleep is not None and self.on_asleep() else None
        left: float = scheduled[0]._when - self.time()  # type: ignore[attr-defined]
        return min(max(0.0, left), MAX_SELECT)

    def _move_timers(self) -> None:
        """Put the timers that are due at the end of the queue."""
        scheduled = self._drop_cancelled_timers()
        end = self.time() + self._clock_resolution  # type: ignore[attr-defined]
        while scheduled and scheduled[0]._when < end:  # type: ignore[attr-defined]
            handle = heapq.heappop(scheduled)
            handle._scheduled = False  # type: ignore[attr-defined]
            self._ready.append(handle)

    def _drop_cancelled_timers(self) -> list[events.TimerHandle]:
        scheduled = self._scheduled
        if len(scheduled) > _MIN_TIMERS and self._timer_cancelled_count / len(scheduled) > _MIN_CANCELLED:
            kept = []
            for handle in scheduled:
                if handle._cancelled:
                    handle._scheduled = False  # type: ignore[attr-defined]
                else:
                    kept.append(handle)
            heapq.heapify(kept)
            self._scheduled = scheduled = kept
            self._timer_cancelled_count = 0
        while scheduled and scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(scheduled)._scheduled = False  # type: ignore[attr-defined]
        return scheduled
