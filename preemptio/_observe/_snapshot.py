"""A loop at one moment, as records: its tasks with their stacks, and who waits for whom.

Problem. A dump is wanted in a task, in a callback, in another thread, at a signal, and while a hog has the CPU that
cannot be stopped: that is when it is wanted most.

What we do. In the loop's thread nothing else of the loop runs while somebody reads there, so every G but the reader's
own stands still, and all are read at one moment, without suspending any. Another thread has the loop do that: it posts
a callback and waits for a time. If the loop does not answer, the thread reads by itself what can be read of frames that
may run on: statuses, the coroutines that await each other, the frames of the loop's thread, and of the greenlets of
preempted Gs. It reads no variables: those are in memory that the frame may leave. Each G is then as it was at a moment
of its own.

Records hold text and numbers, so the text is made by who asked, not in the loop's thread.

Invariant. Whatever is wrong with one task - a class of its own whose methods raise - is said in its place, and the
others are shown.

Context: any thread, any callback, a task. Not in a signal handler or the tick.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from preemptio._aio._inspect import LOOPS
from preemptio._aio._shares import held_in
from preemptio._aio._steps import adopt
from preemptio._core._gstatus import LEAKED, RUNNABLE, RUNNING, SYSCALL, WAITING
from preemptio._core._reasons import SafePointKind, WaitReason
from preemptio._errors import NotInstalledError
from preemptio._observe._edges import Edge, Edges
from preemptio._observe._text import counted, quoted
from preemptio._scan._frames import Sight, look
from preemptio._scan._stack import Stack, StackFrame, frames_of, stack_of

if TYPE_CHECKING:
    from preemptio._core._g import G

TIMEOUT: Final = 1.0
"""Seconds that another thread gives a loop to answer."""

LOOKING: Final = "preemptio looks"
"""Why a task that asks is not preempted meanwhile: nothing else may run. Not shown."""

NODE: Final = "G {}"
"""How a G is called in text, and in the graph."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One task."""

    node: str
    """`G 12`; `task 1` for one that is no G."""
    name: str
    state: str
    """The status, or of one that waits what for, as in the brackets of Go's dumps."""
    age: float
    """Seconds since it last got the CPU; 0 if it never did."""
    frames: tuple[StackFrame, ...] = ()
    """Outermost first."""
    awaits: str = ""
    created_at: str = ""
    flags: tuple[str, ...] = ()
    """What is unusual about it now."""
    counts: Counter[str] = field(default_factory=Counter)
    """Preemptions and refusals, by kind."""
    cpu: float = 0.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One loop at one moment."""

    head: tuple[str, ...]
    tasks: tuple[Seen, ...]
    edges: tuple[Edge, ...]
    things: dict[str, str]
    """The locks and the like that somebody waits for or holds, and how they stand."""
    thread: tuple[StackFrame, ...] = ()
    """Where the loop's thread stands, outermost first, if it is in none of the tasks and the loop does not answer."""


def snapshots(loop: Any, timeout: float) -> list[Snapshot]:
    """Return a loop, or, given None, the loop of this thread, or, where none runs, every loop with the runtime.

    Raises:
        NotInstalledError: the loop that is given has no runtime.
    """
    if loop is not None and not hasattr(loop, "_p"):
        msg = f"{loop!r} has no runtime: make it by preemptio.new_event_loop(), or preemptio.install(loop)"
        raise NotInstalledError(msg)
    if loop is None:
        loop = asyncio._get_running_loop()
    if loop is not None and hasattr(loop, "_p"):
        return [snapshot(loop, timeout)]
    return [snapshot(each, timeout) for each in list(LOOPS) if each._running_since is not None or not each.is_closed()]


def snapshot(loop: Any, timeout: float) -> Snapshot:
    """Return a loop as it is now; from another thread as it answers within `timeout` seconds, or as seen from there."""
    if loop._thread == threading.get_ident():
        return _Reader(loop, None).read()
    if loop._running_since is not None and timeout > 0:
        answer: queue.SimpleQueue[Snapshot] = queue.SimpleQueue()
        wanted = [True]

        def read() -> None:
            if wanted:
                answer.put(_Reader(loop, None).read())

        loop.post(read)
        with contextlib.suppress(queue.Empty):
            return answer.get(timeout=timeout)
        wanted.clear()
    return from_outside(loop, f"the loop did not answer within {timeout:g} s" if loop._running_since else "")


def from_outside(loop: Any, why: str) -> Snapshot:
    """Return what can be read of a loop without its help. `why` it does not help is said."""
    innermost = sys._current_frames().get(loop._thread) if loop._running_since is not None else None
    return _Reader(loop, innermost or sys._getframe(), why).read()


class _Reader:
    """Reads one loop."""

    def __init__(self, loop: Any, innermost: FrameType | None, why: str = "") -> None:
        self._loop = loop
        self._innermost = innermost  # None: nothing of the loop runs while it is read
        self._why = why
        tasks = list(asyncio.all_tasks(loop))
        gs = [(self._g(task), task) for task in tasks]
        self._gs = sorted(((g, task) for g, task in gs if g is not None), key=lambda each: each[0].id)
        foreign = [task for g, task in gs if g is None]
        self._foreign = {f"task {n}": task for n, task in enumerate(foreign, 1)}
        nodes = {id(task): NODE.format(g.id) for g, task in self._gs}
        self._edges = Edges({**nodes, **{id(task): node for node, task in self._foreign.items()}})

    def _g(self, task: Any) -> G | None:
        if not isinstance(task, asyncio.Task):
            return None
        return adopt(task) if self._innermost is None else getattr(task, "g", None)

    def read(self) -> Snapshot:
        """Read everything."""
        seen = [self._guarded(NODE.format(g.id), task, g) for g, task in self._gs]
        seen += [self._guarded(node, task, None) for node, task in self._foreign.items()]
        for _, task in [*self._gs, *self._foreign.items()]:
            with contextlib.suppress(Exception):
                self._edges.wakes(task)
        with contextlib.suppress(RuntimeError):  # in another thread: it changed
            for holder, held in held_in(self._loop):
                self._edges.holds(holder, held.task)
        thread: tuple[StackFrame, ...] = ()
        if self._innermost is not None and self._loop._running_since is not None and not self._some_g_runs():
            sight = Sight(reads=False)
            sight.standing(self._innermost, SafePointKind.BLOCKED, None)
            thread = frames_of(sight)
        return Snapshot(self._head(), tuple(seen), tuple(self._edges.found), self._edges.things(), thread)

    def _some_g_runs(self) -> bool:
        return any(g.status.base is RUNNING for g, _ in self._gs)

    def _guarded(self, node: str, task: Any, g: G | None) -> Seen:
        try:
            return self._task(node, task) if g is None else self._read_g(node, task, g)
        except Exception as exc:
            return Seen(node, "", f"cannot be read: {type(exc).__name__}", 0.0)

    def _read_g(self, node: str, task: Any, g: G) -> Seen:
        sight = look(g, self._innermost)
        stack = stack_of(g, sight)
        extra = g._extra
        future = extra.waiting_on if g.parked else getattr(task, "_fut_waiter", None)
        pending = future is not None and g.status.base in (WAITING, LEAKED, SYSCALL)
        self._edges.waits(node, future if pending else None, sight)
        refused = {f"refused ({verdict})": n for verdict, n in extra.refusals.items()}
        counts = {f"preempted ({kind})": n for kind, n in extra.preemptions.items()} | refused
        age = time.monotonic() - g.last_run if g.slices else 0.0
        flags, cpu = flags_of(g), extra.cpu_time
        return Seen(
            node,
            stack.name,
            state_of(g, stack),
            age,
            stack.frames,
            stack.awaits if pending else "",
            stack.created_at,
            flags,
            Counter(counts),
            cpu,
        )

    def _task(self, node: str, task: Any) -> Seen:
        sight = Sight(reads=self._innermost is None)
        sight.awaited(task.get_coro())
        future = getattr(task, "_fut_waiter", None)
        self._edges.waits(node, future, sight)
        kind = f"{type(task).__module__}.{type(task).__qualname__}"
        return Seen(node, str(task.get_name()), f"{kind}, no G", 0.0, frames_of(sight))

    def _head(self) -> tuple[str, ...]:
        loop, p = self._loop, self._loop._p
        thread = next(
            (each.name for each in threading.enumerate() if each.ident == loop._thread), "a thread that ended"
        )
        where = (
            f"runs in {thread}" if loop._running_since is not None else "closed" if loop.is_closed() else "not running"
        )
        head = [f"{type(loop).__name__}, {where}; {self._counted()}"]
        tick = f"tick {loop._ticker.source} {'on' if loop._ticker.ticking else 'off'}, slice {p.slice * 1e3:g} ms"
        queue_ = f"queue {p.host.backlog()}, parked {len(p.parked)}, standing {len(p.standing)}"
        head.append(f"{tick}; {queue_}; {counted(p.schedtick, 'slice')}, {counted(p.nparked_ever, 'stop')} in mid-step")
        if self._innermost is not None:
            why = self._why or "it does not run in this thread"
            head.append(f"{why}: read from outside, each task at a moment of its own")
        return tuple(head)

    def _counted(self) -> str:
        by = Counter(str(g.status.base) for g, _ in self._gs)
        words = [f"{n} {status}" for status, n in sorted(by.items(), key=lambda each: (-each[1], each[0]))]
        if self._foreign:
            words.append(f"{len(self._foreign)} no G")
        total = len(self._gs) + len(self._foreign)
        return f"{total} tasks{': ' * bool(words)}{', '.join(words)}" if total != 1 else f"1 task: {words[0]}"


def state_of(g: G, stack: Stack) -> str:
    """Return what stands in the brackets: what a G waits for, or its status."""
    status, waits = g.status.base, stack.wait_reason
    if status in (WAITING, LEAKED, SYSCALL):
        word = str(status if waits is WaitReason.NONE else waits)
    elif status is RUNNABLE and g.parked and g._extra.waiting_on is None:
        word = "runnable, preempted"
    else:
        word = str(status)
    return word + " (leaked)" * (status is LEAKED) + " (scan)" * g.status.scanned


def flags_of(g: G) -> tuple[str, ...]:
    extra = g._extra
    off = [reason for reason in extra.preempt_off if reason is not LOOKING]
    flags = [
        f"nice {extra.nice}" * (extra.nice != 0),
        "background" * extra.background,
        f"nopreempt {', '.join(map(quoted, off))}" if off else "",
        "asked to give way" * (g.preempt and LOOKING not in extra.preempt_off),  # who looks was asked for looking
        "asked to stop" * extra.preempt_stop,
        "suspended" * g.suspended,
        f"in {extra.restartable.name}, restartable" if extra.restartable is not None else "",
    ]
    return tuple(each for each in flags if each)
