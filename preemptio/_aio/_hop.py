"""The adapter for any loop: one hop per step, hub to carrier and back.

Every captured step keeps a handle of the base loop as its place in the queue, and the handle's callback hands the
step to a carrier. It asks nothing of the base but `call_soon`, so it serves every loop class; it costs a switch pair a
step. `_run_ahead.py` builds on it for uvloop, whose queue can be seen.

Parked steps are resumed by a callback of their own that comes round once a turn while there are any. A turn was
quiet when no step ran between two of them.

Context: `_hop`, `_dispatch` in the hub as callbacks of the base loop; `drain` on a carrier.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from preemptio._aio._runtime import RuntimeLoop
from preemptio._aio._steps import capture
from preemptio._core._parked import Parked
from preemptio._core._step import run_step

if TYPE_CHECKING:
    from preemptio._core._carrier import Carrier
    from preemptio._core._parked import Step

identity: Final = object.__hash__
"""As `id`, each call of which is an audit event, and while there is a hook, such as ours, as dear as ten of these."""


class Hop:
    """The callback of one step's handle. Looks like asyncio's own, so that a loop's debug report names the task."""

    __slots__ = ("_item", "_loop")

    def __init__(self, loop: HopLoop, item: Step) -> None:
        """Remember what to run."""
        self._loop = loop
        self._item = item

    @property
    def __self__(self) -> Any:
        """The task."""
        return self._item[1].__self__  # type: ignore[attr-defined]

    def __call__(self) -> None:
        """Run the step on a carrier."""
        self._loop._hop(self._item)

    def __repr__(self) -> str:
        """Show the callback that asyncio scheduled."""
        return repr(self._item[1])


class HopLoop(RuntimeLoop):
    """Mixin for any event loop class with `call_soon`."""

    _base_call_soon: Callable[..., Any]
    _base_call_later: Callable[..., Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the base loop, then its runtime."""
        super().__init__(*args, **kwargs)
        self._init_runtime()

    def _init_runtime(self) -> None:
        super()._init_runtime()
        self._base_call_soon = super().call_soon  # type: ignore[misc]
        self._base_call_later = super().call_later  # type: ignore[misc]
        self._single: Step | Parked | None = None  # what the next batch consists of
        self._hopping = 0  # steps that hold a handle of the base loop
        self._dispatching = False
        self._dispatch_handle: object = None  # the last one made; its place in the queue, if it is there still
        self._seen_tick = -1
        self._quiet = 0
        self._shared: dict[int, weakref.ref[Context]] = {}  # contexts that more than one party can enter

    # -- the queue --

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        """Queue a callback; a task's step becomes a ready G with a handle of the base loop as its place."""
        if context is not None:
            g = capture(self._p, callback, args)
            if g is not None:
                step = (g, callback, args, context)
                if g._extra.aside:
                    self._p.queue_aside(step)
                    return None
                return self._queue_hop(step)
            if identity(context) in self._shared:
                return self._base_call_soon(self._run_shared, context, callback, args, context=self._empty)
        return self._base_call_soon(callback, *args, context=context)

    def _queue_hop(self, item: Step) -> Any:
        self._hopping += 1
        return self._base_call_soon(Hop(self, item), context=self._empty)

    def enqueue(self, item: Step | Parked) -> None:
        """Queue a step again, or a G that stands in `preemptio.wait` and is ready again."""
        self._hopping += type(item) is tuple
        self._base_call_soon(self._hop, item, context=self._empty)

    def backlog(self) -> int:
        """Return how many steps hold a place."""
        return self._hopping

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        """Queue a callback from another thread."""
        callback, args, context = self._unshared(callback, args, context)
        return super().call_soon_threadsafe(callback, *args, context=context)  # type: ignore[misc]

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        """Call back after a time."""
        if context is None:
            return self._base_call_later(delay, callback, *args)
        callback, args, context = self._unshared(callback, args, context)
        return self._base_call_later(delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        """Call back at a time of the loop's clock."""
        callback, args, context = self._unshared(callback, args, context)
        return super().call_at(when, callback, *args, context=context)  # type: ignore[misc]

    def _unshared(
        self, callback: Callable[..., Any], args: tuple[Any, ...], context: Any
    ) -> tuple[Callable[..., Any], tuple[Any, ...], Any]:
        """Route a callback through `_run_shared` if somebody else can be in its context when its time comes."""
        if context is None or identity(context) not in self._shared:
            return callback, args, context
        return self._run_shared, (context, callback, args), self._empty

    def _context_given(self, context: Context) -> None:
        key = identity(context)
        self._shared[key] = weakref.ref(context, lambda _: self._shared.pop(key, None))

    def _run_shared(self, context: Context, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Run a callback in a context that a parked step may have entered: then it waits for that step's end."""

        def again() -> None:
            self._base_call_soon(self._run_shared, context, callback, args, context=self._empty)

        if not self._p.blocked_contexts.wait(context, again):
            context.run(callback, *args)

    # -- running --

    def _hop(self, item: Step | Parked) -> None:
        """Run one queued item. In the hub."""
        if type(item) is tuple:
            self._hopping -= 1
        self._single = item
        self._batch()

    def _batch(self) -> None:
        p = self._p
        p.now = time.monotonic()
        p.active = True
        if p.now >= p.check_at:
            self._ticker.check()
        if not p.armed:
            self.arm()
        self._run_told(p.run_batch)

    def _run_told(self, run: Callable[[], None]) -> None:
        """Run a batch of steps, or resume a G: which is all of a turn that can be seen from here."""
        p = self._p
        if p.watch_turns:
            p.instruments.tell(p.instruments.turn_began)
        try:
            run()
        finally:
            if p.watch_turns:
                p.instruments.tell(p.instruments.turn_ended)

    def drain(self, carrier: Carrier) -> None:
        """Run the one item that was handed over."""
        del carrier
        item, self._single = self._single, None
        if isinstance(item, Parked):
            self._p.handoff = item
        elif item is not None:
            self._run_one(item)

    def _run_one(self, item: Step) -> bool:
        """Run a step with asyncio's rules for what it may raise; True when the hub is needed."""
        try:
            return run_step(self._p, item)
        except BaseException as exc:
            self._step_failed(exc)
            return self._p.attention

    def kick(self) -> None:
        """Have `_dispatch` come round once a turn while steps are parked."""
        if not self._dispatching:
            self._dispatching = True
            self._quiet = 0
            self._dispatch_handle = self._base_call_soon(self._dispatch, context=self._empty)

    def _busy(self) -> bool:
        """Report whether something else is ready now."""
        return self._hopping > 0

    def _dispatch(self) -> None:
        """Resume the head of the parked queue if it is due. In the hub, once a turn."""
        p = self._p
        p.now = time.monotonic()
        self._quiet = 0 if self._busy() or p.schedtick != self._seen_tick else self._quiet + 1
        self._seen_tick = p.schedtick
        try:
            if p.parked.due(p.now, self._quiet):
                self._quiet = 0
                self._run_told(p.resume_parked)
                self._seen_tick = p.schedtick
        finally:  # whatever this G did, the others are owed their turn
            self._dispatching = bool(p.parked.heap)
            if self._dispatching:
                self._dispatch_handle = self._base_call_soon(self._dispatch, context=self._empty)
