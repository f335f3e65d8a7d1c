"""What a task step looks like when asyncio schedules it, and the G that it belongs to.

asyncio's C code schedules every step of a task through `loop.call_soon`: the first and those after a bare yield as
an object of a private type (`TaskStepMethWrapper`), those after an await as the built-in method `task_wakeup`. Both
carry the task as `__self__`. The private type is learned from one task of a fake loop at import time.

Tasks that are not C tasks (asyncio's Python twin, a foreign class) are not recognised: their steps run as plain
callbacks, unpreempted, exactly as they do without preemptio.

Context: `capture` in every `call_soon`: hot.
"""

from __future__ import annotations

import asyncio
import sys
from types import BuiltinMethodType, CodeType, FrameType
from typing import TYPE_CHECKING, Any, Final

from preemptio._aio._task import Task
from preemptio._core._accounts import INHERIT, inherit
from preemptio._core._g import G, new_g
from preemptio._core._gstatus import DEAD, RUNNABLE, RUNNING, WAITING, Gstatus, cas_gstatus
from preemptio._core._instruments import LISTENING, tell_ready
from preemptio._core._step import ready

if TYPE_CHECKING:
    from preemptio._core._processor import Processor


class _Recorder:
    """As much of a loop as making a task needs: it remembers what was scheduled on it."""

    def __init__(self) -> None:
        self.callback: Any = None

    def get_debug(self) -> bool:
        return False

    def call_soon(self, callback: Any, *_args: Any, context: Any = None) -> Any:
        self.callback = callback


def _learn_step_type() -> type:
    async def nothing() -> None:
        pass

    loop, coro = _Recorder(), nothing()
    task = asyncio.Task(coro, loop=loop)  # type: ignore[arg-type]  # not a loop, on purpose
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it never runs, on purpose
    coro.close()
    return type(loop.callback)


STEP: Final = _learn_step_type()
WAKEUP: Final = "task_wakeup"
_CTask: Final = asyncio.Task

_HOST_PACKAGES: Final = ("asyncio", "uvloop", "preemptio", "anyio")
_host_files: Final[dict[str, bool]] = {}
"""Files by whether they create tasks on behalf of others, which are skipped when a birth place is looked for."""


def _is_host(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__", ""))
    host = name.partition(".")[0] in _HOST_PACKAGES and not name.startswith("preemptio._cli")
    _host_files[frame.f_code.co_filename] = host
    return host


def birth_place(frame: FrameType | None) -> tuple[CodeType | None, int]:
    """Return code and instruction of the nearest frame, from `frame` on, that is not asyncio's, a loop's or ours."""
    while frame is not None:
        code = frame.f_code
        host = _host_files.get(code.co_filename)
        if host is None:
            host = _is_host(frame)
        if not host:
            return code, frame.f_lasti
        frame = frame.f_back
    return None, -1


held_back: Final[set[Any]] = set()
"""Whose first step must not go straight into the queue: coroutines that `go` is about to start in the background class,
and loops whose Gs are all held."""


_create_task: CodeType | None = None
"""Code of the loops' create_task; writer: set_create_task."""


def set_create_task(code: CodeType) -> None:
    """Take note of the function by which nearly all tasks are made, and which is never where one was made."""
    global _create_task  # noqa: PLW0603 - the loops' class, which rests on this file, knows it
    _create_task = code


def newproc(p: Processor | None, task: Any, depth: int, status: Gstatus) -> G:
    """Make the G of a task that has none, in `status`: Go's newproc.

    `depth`: frames that are surely not the creator's.
    """
    frame = sys._getframe(depth)
    if frame.f_code is _create_task:  # the usual way, looked through without a call
        frame = frame.f_back  # type: ignore[assignment]  # somebody has called it
    code = frame.f_code
    if _host_files.get(code.co_filename, True):  # or one that was not met yet
        task.g = g = new_g(task, *birth_place(frame), status)
    else:
        task.g = g = new_g(task, code, frame.f_lasti, status)
    if p is not None:
        p.ncreated += 1
    if held_back:
        _hold_back(g, task)
    if INHERIT:
        _inherit(g, p)
    if LISTENING:
        _tell_born(g, p)
    return g


def _hold_back(g: G, task: Any) -> None:
    background = task.get_coro() in held_back
    if background or task.get_loop() in held_back:
        extra = g.extra()
        extra.background, extra.aside = background, True


def _inherit(g: G, p: Processor | None) -> None:
    creator = None if p is None else p.curg
    if creator is not None:
        inherit(g, creator)


def _tell_born(g: G, p: Processor | None) -> None:
    if p is not None and p.instruments.created:
        p.instruments.tell(p.instruments.created, g)
    if g.status is RUNNABLE:
        tell_ready(g)


def adopt(task: Any) -> G:
    """Return the G of a task, making it for one that came to be without scheduling a step (eager start)."""
    g: G | None = getattr(task, "g", None)
    if g is None:
        g = newproc(getattr(task.get_loop(), "_p", None), task, 1, DEAD if task.done() else WAITING)
    elif g.status is WAITING and task.done():  # an eager task that was met in its first part, and ended in it
        cas_gstatus(g, WAITING, RUNNING)
        cas_gstatus(g, RUNNING, DEAD)
    return g


def capture(p: Processor, callback: Any, args: tuple[Any, ...]) -> G | None:
    """Return the G whose step `callback` is, made ready; None if it is not a task's step.

    Raises:
        InternalError: the G is runnable already.
    """
    cls = type(callback)
    if cls is STEP:
        task = callback.__self__
    elif cls is BuiltinMethodType:
        task = callback.__self__
        kind = type(task)
        if kind is Task:
            # A wake-up brings the future that the task waits for. The name says it too, but is dear to ask for.
            waits_for = task._fut_waiter
            if (waits_for is None or not args or waits_for is not args[0]) and callback.__name__ != WAKEUP:
                return None
        elif not issubclass(kind, _CTask) or callback.__name__ != WAKEUP:
            return None
    else:
        return None
    try:
        g: G | None = task.g
    except AttributeError:  # create_task leaves None there; this one was not made by ours
        g = None
    if g is None:
        return newproc(p, task, 3, RUNNABLE)  # newproc, capture, call_soon
    ready(g)
    return g
