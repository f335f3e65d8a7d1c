"""explain: "why is this hog not preempted?", asked by the user. Finds the G, its frame and its loop's rules.

Problem. The tick asks its rules for the running G and the frame that it interrupted. A user asks in the code itself,
for a task that waits or is parked, from a watchdog thread, at a debugger's prompt, or where no loop is at all.

What we do. A G's frame is found where the G stands: on its carrier's greenlet if it is parked, at the end of its chain
of awaits if it waits, on the thread's stack if it runs. A frame's G is found by looking for the frame in the same
places. What the rules make of both is `_preempt/_explain.py`'s.

Context: any thread; what moves meanwhile may give a stale answer, never a wrong state.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from preemptio._aio._inspect import LOOPS
from preemptio._config import config
from preemptio._core._current import current_processor
from preemptio._core._g import G
from preemptio._preempt._explain import Explanation, judge, no_step, nowhere
from preemptio._preempt._safepoint import SafePoints
from preemptio._preempt._tracers import traced_frame
from preemptio._preempt._whose import Whose


def explain(frame: FrameType | None = None, g: G | None = None) -> Explanation:
    """Explain why a task can or cannot be preempted at a place, by the rules of the tick.

    Args:
        frame: the place; by default the caller's, at a debugger's prompt where the program stands, or, if `g` is given,
            where that G stands. A frame that stands in a call, as the caller's does in this one, is judged as at the
            entry of a function that it calls.
        g: the G whose frame it is (`task.g`); by default the one that runs here, else the one that stands at `frame`.

    Returns:
        Explanation: a frozen record of verdict, place, reason, advice, and a remark on each frame. Print it. A G that
        does not run cannot be preempted ("not running"): its frames' remarks say what would be when it did. Where no
        task's step is, the verdict is "no owner".

    Raises:
        ConfigError: outside any loop, if a `PREEMPTIO_...` variable is wrong.

    Context: anywhere: a task, a callback, another thread, a debugger (whose verdict is "tracer" then), outside any
    loop. Changes nothing. From another thread a debugger, held locks and frames of C code are not seen.

    Example:
        >>> import preemptio
        >>> def crunch():
        ...     return preemptio.explain()
        >>> async def main():
        ...     with preemptio.nopreempt("a short part"):
        ...         return crunch()
        >>> found = preemptio.run(main())
        >>> found.verdict.value, found.advice
        ('masked', 'end the `with preemptio.nopreempt(...)` before the long part, or make that part shorter')
        >>> [remark for where, whose, remark in found.frames]
        ['may be stopped', 'owns the step']
    """
    caller = traced_frame(sys._getframe(1))
    here = current_processor()
    running = None if here is None else here.curg
    ours = frame is None or _is_on_stack(frame, caller)
    if g is None:
        g = running if ours or frame is None else _g_at(frame)
    if g is None:
        return no_step(_rules_here(), frame or caller, _why_no_g(ours=ours))
    loop = _loop_of(g)
    if loop is None:
        return nowhere(g) if frame is None else no_step(_rules_here(), frame, "its loop is not preemptio's, or is gone")
    if frame is None:
        frame = caller if g is running else _innermost(g)
        if frame is None:
            return nowhere(g)
    elsewhere = loop._thread != threading.get_ident()
    certain = not (elsewhere and frame is sys._current_frames().get(loop._thread))
    return judge(loop._rules, loop._p, g, frame, certain=certain, elsewhere=elsewhere)


def _is_on_stack(frame: FrameType, caller: FrameType) -> bool:
    at: FrameType | None = caller
    while at is not None and at is not frame:
        at = at.f_back
    return at is not None


def _why_no_g(*, ours: bool) -> str:
    if not ours:
        return "no task of a preemptio loop stands at this frame"
    if current_processor() is None:
        return "no preemptio loop runs in this thread; preemptio.run(main()) starts one"
    return "this is a callback"


def _rules_here() -> SafePoints:
    p = current_processor()
    if p is not None:
        rules: SafePoints = p.host._rules  # type: ignore[attr-defined]  # the host is a RuntimeLoop
        return rules
    return SafePoints(
        policy=config.policy, allow=config.allow, deny=config.deny, async_off=config.debug.asyncpreemptoff
    )


def _loop_of(g: G) -> Any:
    """Return the loop of a G's task; None if the task is gone, or the loop has no runtime."""
    task = g.task
    loop = None if task is None else task.get_loop()
    return loop if hasattr(loop, "_rules") else None


def _g_at(frame: FrameType) -> G | None:
    """Return the G that stands, runs or waits at a frame."""
    for loop in list(LOOPS):
        for task in asyncio.all_tasks(loop):
            g: G | None = getattr(task, "g", None)
            if g is not None and any(at is frame for at in _standing(g)):
                return g
    return None


def _innermost(g: G) -> FrameType | None:
    """Return where the user's code of a G stands: what the runtime put on top of it does not count."""
    frames = list(_standing(g))
    if not g.parked:
        return frames[0] if frames else None
    whose = _rules_here().ownership.whose
    return next((frame for frame in frames if whose(frame) is not Whose.RUNTIME), None)


def _standing(g: G) -> Iterator[FrameType]:
    """Yield the frames of a G, the innermost first."""
    record, loop = g._extra.parked, _loop_of(g)
    if record is not None:
        yield from _outward(record.standing_on.gr_frame)
    elif loop is not None and loop._p.curg is g:
        yield from _outward(sys._current_frames().get(loop._thread))
    elif g.task is not None:
        yield from reversed(list(_awaiting(g.task.get_coro())))


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _awaiting(at: Any) -> Iterator[FrameType]:
    """Yield the frames of a chain of awaits, the outermost first: they are not linked while it waits."""
    while at is not None:
        for kind in ("cr", "ag", "gi"):
            frame = getattr(at, f"{kind}_frame", None)
            if frame is not None:
                yield frame
                at = getattr(at, "gi_yieldfrom" if kind == "gi" else f"{kind}_await", None)
                break
        else:
            return
