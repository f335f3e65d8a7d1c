"""RuntimeLoop: what every loop of ours shares, whatever it is based on.

The mixin stands before the base loop class. It owns the processor and the ticker, makes tasks into Gs, and starts
and stops the tick with the loop. How steps are queued and drained is the adapter's: `_turn.py` (asyncio's own loop),
`_run_ahead.py` (uvloop), `_hop.py` (any other).

Context: the loop's thread, unless a method says otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from preemptio._aio import _current_task
from preemptio._aio._inspect import LOOPS
from preemptio._aio._schedtrace import SchedTrace
from preemptio._aio._shares import cancelled
from preemptio._aio._shutdown import see_ended, shuts_down
from preemptio._aio._starvation import Starvation
from preemptio._aio._steps import adopt, set_create_task
from preemptio._aio._task import Task
from preemptio._aio._workers import Workers
from preemptio._config import config
from preemptio._core._current import set_current_processor
from preemptio._core._gstatus import RUNNING
from preemptio._core._hold import drop
from preemptio._core._kill import kill
from preemptio._core._processor import Processor
from preemptio._log import make_ready, report_calls, report_stragglers
from preemptio._preempt._gcfence import FENCE
from preemptio._preempt._overdue import Overdue
from preemptio._preempt._reports import Reports
from preemptio._preempt._safepoint import SafePoints
from preemptio._preempt._suspend import Suspends
from preemptio._preempt._tick import Ticker

if TYPE_CHECKING:
    from preemptio._core._carrier import Carrier
    from preemptio._core._g import G
    from preemptio._core._parked import Parked, Step


_new: Final = Task.__new__

ON_START: Final[list[Callable[[Any], object]]] = []
"""Called with each loop that begins to run, in its thread: how what watches loops gets to them. Must not raise."""

ON_STOP: Final[list[Callable[[Any], object]]] = []
"""The same for each loop that ends to run."""


class RuntimeLoop:
    """Mixin: an event loop every task of which is a G. Also the processor's host."""

    _p: Processor
    _ticker: Ticker
    _plain = False  # it runs, and has neither a task factory nor debug mode: create_task need not ask for them
    _running_since: tuple[Processor | None] | None  # the thread's processor before this loop ran; None: not running

    def _init_runtime(self) -> None:
        self._debug_flags = debug = config.debug
        self._schedtrace: SchedTrace | None = None
        self._p = p = Processor(self, config.slice, config.budget)
        rules = SafePoints(policy=config.policy, allow=config.allow, deny=config.deny, async_off=debug.asyncpreemptoff)
        self._rules = rules
        self._suspends = Suspends(p)
        self._world: Any = None  # a World, when somebody stops it; writer: _world.py
        self._ticker = Ticker(p, rules, self._suspends, config.source, Reports(config.slow))
        if config.starvation:
            p.instruments.add(Starvation(p, config.starvation))
        if debug.preemptall or debug.preemptrandom:
            seed, share = debug.preemptrandom or (0, 1.0)
            self._ticker.inject_faults(share, seed)
        self._running_since = None
        self._plain = False
        self._thread = 0  # where the loop ran last
        # Called when the loop is about to wait with no end in sight; True: there is something to do after all.
        self.on_asleep: Callable[[], bool] | None = None
        p.fence = FENCE.closed
        # The context of the runtime's own callbacks. One per loop: a context can be entered in one thread at a time.
        self._empty = Context()
        self._workers = Workers(self.post, config.threads)
        LOOPS.add(self)

    # -- the base loop's methods --

    def create_task(
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
        **kwargs: Any,
    ) -> asyncio.Task[Any]:
        """Schedule a coroutine as a task, which is a G. Keywords as the base loop and the task factory take them."""
        if not self._plain or context is not None or kwargs:
            return self._create_other(coro, name, context, kwargs)
        task = _new(Task)
        task.g = None  # type: ignore[assignment]  # who asks for an attribute that is not there pays for its error
        if name is None:  # every keyword is paid for
            task.__init__(coro, loop=self)  # type: ignore[misc]
        else:
            task.__init__(coro, loop=self, name=name)  # type: ignore[misc]
        return task

    def _create_other(
        self, coro: Coroutine[Any, Any, Any], name: str | None, context: Context | None, kwargs: dict[str, Any]
    ) -> asyncio.Task[Any]:
        """Create a task as the base loop does: by its factory, in its debug mode, refusing after its end."""
        if context is not None:
            self._context_given(context)
        factory = self.get_task_factory()  # type: ignore[attr-defined]
        if factory is not None:
            task = super().create_task(coro, name=name, context=context, **kwargs)  # type: ignore[misc]
            if isinstance(task, asyncio.Task):  # a factory may return anything
                adopt(task)
            return task  # type: ignore[no-any-return]
        if self.is_closed():  # type: ignore[attr-defined]
            msg = "Event loop is closed"
            raise RuntimeError(msg)
        if kwargs.get("eager_start") is None:
            kwargs.pop("eager_start", None)
        task = _new(Task)
        task.g = None  # type: ignore[assignment]
        task.__init__(coro, loop=self, name=name, context=context, **kwargs)  # type: ignore[misc]
        if kwargs:
            adopt(task)
        if task._source_traceback:  # type: ignore[attr-defined]
            del task._source_traceback[-1]  # type: ignore[attr-defined]
        return task

    def set_task_factory(self, factory: Any) -> None:
        """Have tasks made by a factory; it may return what is no G."""
        super().set_task_factory(factory)  # type: ignore[misc]
        self._plain = False

    def set_debug(self, enabled: bool) -> None:
        """Set the base loop's debug mode."""
        super().set_debug(enabled)  # type: ignore[misc]
        self._plain = False

    def run_forever(self) -> None:
        """Run until stop() is called, with the tick on while steps run."""
        started = self._start_runtime()
        try:
            super().run_forever()  # type: ignore[misc]
        finally:
            if started:
                self._stop_runtime()

    def run_until_complete(self, future: Any) -> Any:
        """Run until a future is done; one that stands for the end of all tasks is not waited for without a bound."""
        ending = shuts_down(self, future)  # type: ignore[arg-type]
        if ending is not None:
            left = see_ended(self, self, ending, config.grace)  # type: ignore[arg-type]
            others = [task for task in left if not isinstance(task, Task)]
            if others:
                super().run_until_complete(asyncio.wait(others))  # type: ignore[misc]
            if left and not future.done():
                return None
        return super().run_until_complete(future)  # type: ignore[misc]

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        """Wait for the threads: ours for `grace` seconds, then the default executor's as the base loop does."""
        report_calls(await self._workers.shut_down(config.grace), "shutdown")
        await super().shutdown_default_executor(*args, **kwargs)  # type: ignore[misc]

    def close(self) -> None:
        """Close the loop, ending every carrier."""
        running: bool = self.is_running()  # type: ignore[attr-defined]
        if not running:
            self.let_all_go()
            self._end_carriers()
            self._suspends.close(RuntimeError("the event loop was closed"))
        super().close()  # type: ignore[misc]

    @property
    def overdue(self) -> Overdue:
        """What stops a step that keeps this loop from ending."""
        return self._ticker.overdue

    def let_all_go(self) -> None:
        """End every suspension: the loop is about to end its tasks, and one that is held cannot end."""
        if self._world is not None:
            self._world.end()
        for g in list(self._p.holds):
            drop(self._p, g)

    def _start_runtime(self) -> bool:
        """Start the tick; False if it was on already, and is somebody else's to stop."""
        if self._running_since is not None:
            return False
        if self._p.standing and self._thread != threading.get_ident():
            msg = "this loop has tasks that stand in the middle of a step of another thread; run and close it there"
            raise RuntimeError(msg)
        make_ready()
        self._thread = threading.get_ident()
        self._running_since = (set_current_processor(self._p),)
        self._p.begin()
        self._ticker.start()
        self._plain = self.get_task_factory() is None and not self.get_debug()  # type: ignore[attr-defined]
        if self._debug_flags.schedtrace:
            flags = self._debug_flags
            self._schedtrace = SchedTrace(self, flags.schedtrace, detail=flags.scheddetail)
        for tell in ON_START:
            tell(self)
        return True

    def _stop_runtime(self) -> None:
        if self._running_since is not None:
            for tell in ON_STOP:
                tell(self)
            (before,), self._running_since = self._running_since, None
            if self._schedtrace is not None:
                self._schedtrace.stop()
            self._ticker.stop()
            self._p.end()
            self._plain = False
            set_current_processor(before)

    def _end_carriers(self) -> None:
        """End parked steps: their loop will not run again. GreenletExit is raised where each stands."""
        p = self._p
        if not p.standing:
            return
        if self._thread != threading.get_ident():  # greenlets cannot be reached from another thread
            report_stragglers(list(p.standing), "loop.close() in another thread")
            return
        before = set_current_processor(p)
        p.begin()
        self._ticker.start()  # what catches GreenletExit and goes on must be stopped again
        try:
            left = [record.g for record in list(p.standing.values()) if not kill(p, record)]
        finally:
            self._ticker.stop()
            set_current_processor(before)
            p.end()
        if left:
            report_stragglers(left, "loop.close()")

    def _context_given(self, context: Context) -> None:
        """Note that a task runs in a context that its creator also has."""

    # -- Host: what the processor asks for --

    def innermost_g(self) -> G | None:
        """Return the G of asyncio's current task."""
        task = asyncio.current_task(self)  # type: ignore[arg-type]
        return adopt(task) if isinstance(task, asyncio.Task) else None

    def runs(self, g: G) -> bool:
        """Report whether a G that has no step runs all the same: in the first part of an eager task."""
        coro = None if g.parked or g.task is None else g.task.get_coro()
        return bool(getattr(coro, "cr_running", False)) and g.status is not RUNNING

    def leave(self) -> object:
        """Take the current task out."""
        return _current_task.take(self)  # type: ignore[arg-type]

    def enter(self, token: object) -> None:
        """Put it back."""
        _current_task.put(self, token)  # type: ignore[arg-type]

    def undelivered(self, g: G, exc: BaseException) -> None:
        """Give a cancellation that the step did not meet any more to the task, as asyncio would."""
        task = g.task
        if task is not None and isinstance(exc, asyncio.CancelledError) and not task.done():
            g.extra().delivered_cancels = max(0, g.extra().delivered_cancels - 1)
            asyncio.Task.cancel(task, *exc.args)

    def kept_back(self, g: G) -> None:
        """Look whether it was a cancellation: that of a task which is not ours shows nowhere else."""
        task = g.task
        if task is not None and type(task) is not Task and task.cancelling():
            cancelled(task)

    def forked(self) -> None:
        """Forget, in a forked child, that the loop runs."""
        self._running_since = None
        self._plain = False
        set_current_processor(None)

    def post(self, fn: Callable[..., object], *args: Any) -> None:
        """Call `fn` from the loop soon, from any thread or a signal handler."""
        with contextlib.suppress(RuntimeError):  # closed meanwhile: what was posted is about this loop
            self.call_soon_threadsafe(fn, *args)  # type: ignore[attr-defined]

    def call_after(self, delay: float, fn: Callable[..., object], *args: Any) -> None:
        """Set a timer of the base loop, in a context of the runtime's own."""
        self.call_later(delay, fn, *args, context=self._empty)  # type: ignore[attr-defined]

    def look_soon(self) -> None:
        """Shorten the next look."""
        self._ticker.look_soon()

    def arm(self) -> None:
        """Start the tick."""
        self._ticker.arm()

    def quiet(self) -> bool:
        """Return False: whether I/O or a timer waits cannot be told from outside of most loops."""
        return False

    def idle(self) -> None:
        """Do nothing: how long the loop may wait is not known here."""

    def watch(self, fd: int, callback: Callable[[], None] | None) -> bool:
        """Add or remove a reader."""
        try:
            if callback is None:
                self.remove_reader(fd)  # type: ignore[attr-defined]
            else:
                self.add_reader(fd, callback)  # type: ignore[attr-defined]
        except (NotImplementedError, RuntimeError):  # a loop without readers, or a closed one
            return False
        return True

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:
        """Have a signal handled by the loop."""
        super().add_signal_handler(sig, callback, *args)  # type: ignore[misc]
        if self._running_since is not None:
            self._ticker.check()  # asyncio has just set its wake-up descriptor

    def drain(self, carrier: Carrier) -> None:
        """Run a batch of steps. The adapter's."""
        raise NotImplementedError

    def enqueue(self, item: Step | Parked) -> None:
        """Queue a step or a parked G. The adapter's."""
        raise NotImplementedError

    def kick(self) -> None:
        """Make the hub look at the parked queue. The adapter's."""
        raise NotImplementedError

    def backlog(self) -> int:
        """Count waiting steps. The adapter's."""
        raise NotImplementedError

    # -- steps --

    def _step_failed(self, exc: BaseException) -> None:
        """Handle what a step raised instead of returning, as asyncio handles it for callbacks."""
        item = self._p.step
        if item is None:  # not a step: the runtime's own fault, or a BaseException on its way through
            raise exc
        if self._p.step_raised(item, exc):
            return
        if isinstance(exc, (SystemExit, KeyboardInterrupt)):
            raise exc
        context = {"message": f"Exception in callback {item[1]!r}", "exception": exc, "task": item[0].task}
        self.call_exception_handler(context)  # type: ignore[attr-defined]


set_create_task(RuntimeLoop.create_task.__code__)
