"""@restartable: a function that is begun again if others ran while it was in its middle. Go's UnsafePointRestart.

Problem. A plain function that reads several words - two fields, then a list that other tasks change - must not be
stopped half-way, or it returns half of the old and half of the new. `nopreempt` sees to that by keeping everybody
waiting. For a function that only reads, to throw away what it has read and to read again does as well.

What does not work. To validate at the end, as a seqlock does: what was read half-way may raise, or loop for ever. To
raise in the function a few instructions after it was resumed, as cancellations are: the torn read is used by then. To
mark the code object and find the function by walking the frames of each interrupted step: every task would pay.

What we do. The decorator's wrapper notes in the G that it stands in a *section*. When the G is resumed after it gave
up the CPU in there - a tick, a search, a checkpoint, a stop for a suspender - `Restart` is raised at the very
instruction at which it stands, and the wrapper, which is the only one that catches it, calls the function again. After
`RESTARTS` times it calls it masked, so that it ends however busy the others are. What stands in a section within
a section belongs to the outer one: the outermost is begun again. A cancellation that comes with the CPU goes first.

Where a restart would do harm the G is not stopped (the verdict RESTART): in the last statement, which may have an
effect, and in a `try` or `with` of the function (`_sections`); and where a function that it called, or is called from
there, has a `try` or `with` at all. So no handler, no `finally` and no `__exit__` ever sees a Restart. At the
function's entry nothing was read yet, so it goes on there. In a blocking call it is not set aside: the wrapper's frame
is the runtime's own, which the rescue does not pass. A blocking call that was begun again would never come to its end.

If C code drops the Restart all the same, the wrapper sees that it was raised and did not arrive.

Invariants. `extra.restartable` is not None only while a wrapper's frame is on the step's stack, or if an exception
(Ctrl-C) hit the wrapper's own last lines; so who finds it set looks for that frame. While a Restart is on its way it
is TORN.

Context: the wrapper anywhere, `Section` in the tick handler, in trace callbacks and at checkpoints.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import CodeType, FrameType, FunctionType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from preemptio._core._current import current_processor
from preemptio._core._mask import nopreempt
from preemptio._core._step import run_step
from preemptio._preempt._codes import BETWEEN
from preemptio._preempt._opcodes import RESUME, has_handlers
from preemptio._preempt._sections import held_offsets
from preemptio._preempt._whose import COROUTINE

if TYPE_CHECKING:
    from preemptio._core._g import GExtra

F = TypeVar("F", bound=Callable[..., Any])

RESTARTS: Final = 3
"""How often a call may be interrupted; after that it runs masked."""

_RUN_STEP: Final = run_step.__code__


class Restart(BaseException):
    """Ends an attempt of a restartable function. Caught by its wrapper, and by nobody else."""

    def __init__(self, caught: Callable[[], object] | None) -> None:
        """Have `caught` called when it has arrived."""
        super().__init__("a preemptio.restartable function is begun again")
        self.caught = caught


class Section:
    """One decorated function."""

    __slots__ = ("_entry", "_held", "name")

    def __init__(self, fn: FunctionType) -> None:
        """Read where it must not be left.

        Raises:
            ValueError: a statement in it would stop the restart.
        """
        self.name = fn.__qualname__
        self._held = held_offsets(fn)
        self._entry = 2 * fn.__code__.co_code[::2].index(RESUME)

    def holds(self, frame: FrameType) -> bool:
        """Report whether the step must not be left at this frame: it could not be begun again."""
        own, guarded = _own(frame)
        return own is not None and not self._at_entry(own, frame) and (guarded or own.f_lasti in self._held)

    def torn_at(self, frame: FrameType) -> bool:
        """Report whether to leave the step at this frame, where it may be left, tears what it has read."""
        own, _ = _own(frame)
        return own is not None and not self._at_entry(own, frame)

    def restart(self, extra: GExtra, caught: Callable[[], object] | None = None) -> BaseException:
        """Return what is to be raised in the step: it has the CPU again, and others had it meanwhile."""
        extra.restartable = TORN
        extra.restarts += 1
        return Restart(caught)

    def _at_entry(self, own: FrameType, innermost: FrameType) -> bool:
        return own is innermost and own.f_lasti <= self._entry


class _Torn(Section):
    """Stands in the place of a section of which a Restart is on its way out."""

    __slots__ = ()

    def __init__(self) -> None:
        self.name, self._held, self._entry = "", frozenset(), -1

    def holds(self, frame: FrameType) -> bool:
        """Leave nowhere: it would be raised again."""
        return _own(frame)[0] is not None


TORN: Final = _Torn()


def _own(innermost: FrameType) -> tuple[FrameType | None, bool]:
    """Return the frame of the outermost section of the step, if this frame is in one, and whether one above is guarded.

    The search ends at the owner of the step. One above the section (an eager task's) is in the way of a restart.
    """
    frame: FrameType | None = innermost
    callee: FrameType | None = None
    guarded = False
    while frame is not None:
        code = frame.f_code
        if code is WRAPPER:
            if callee is not None and callee.f_code is not _INSIDE:
                return callee, guarded
            callee, frame = None, frame.f_back
            continue
        guarded = guarded or (callee is not None and _guards(callee.f_code))
        if code.co_flags & COROUTINE:
            break
        callee, frame = frame, frame.f_back
    return (frame, True) if frame is not None and _encloses(frame) else (None, False)


def _guards(code: CodeType) -> bool:
    """Report whether a function has a `try` or a `with`, or is a finalizer, which drops exceptions."""
    return code.co_name == "__del__" or has_handlers(code)


def _encloses(frame: FrameType | None) -> bool:
    """Report whether a wrapper's frame is outward from this one in the step, or beyond, if this is a child greenlet."""
    while frame is not None and frame.f_code is not WRAPPER:
        if frame.f_code is _RUN_STEP:
            return False
        frame = frame.f_back
    return True


def stands_in(frame: FrameType) -> bool:
    """Report whether a frame is in a section of its step."""
    return _own(frame)[0] is not None


def restartable(fn: F) -> F:
    """Declare that a function only reads, up to its last statement: it is begun again if others ran in its middle.

    For a short plain function that reads several things that belong together, without a lock: what it returns was all
    there at one moment. If its task is preempted inside it, or gives way at a checkpoint, the function starts from its
    entry when the task goes on; after three times it runs as under `nopreempt`. Its last statement, with all that this
    calls, is not interrupted, and may therefore have an effect: `return` what was computed before it, since a
    computation in the `return` itself keeps everybody waiting. Nor is it interrupted inside a `try` or a `with`, nor in
    called functions that have one.

    Args:
        fn: a function made by `def`, not async and no generator. Put this decorator closest to the `def`.

    Returns:
        A function like it. Where no task runs - a plain callback, another thread, no loop - it is just called.

    Raises:
        TypeError: `fn` is not such a function, or is decorated already.
        ValueError: a bare `except`, an `except BaseException` or the like in it would stop the restart.

    Calling it raises what the function raises, and RuntimeError if C code that it calls has dropped the restart.
    `preemptio.wait()` inside it raises RuntimeError. If its source cannot be read it is never interrupted.

    Source: symtab.go, UnsafePointRestart; preempt.go, wantAsyncPreempt.

    Example:
        >>> import preemptio
        >>> account = {"name": "a", "entries": [1, 2, 3]}
        >>> @preemptio.restartable
        ... def statement():
        ...     name, total = account["name"], 0
        ...     for entry in account["entries"]:
        ...         total += entry
        ...     return name, total
        >>> async def main():
        ...     return statement()
        >>> preemptio.run(main())
        ('a', 6)
    """
    if not isinstance(fn, FunctionType):
        msg = f"restartable takes a Python function, not {fn!r}; put it closest to the `def`, below other decorators"
        raise TypeError(msg)
    if hasattr(fn, "__wrapped__"):
        msg = f"restartable is to stand closest to the `def` of {fn.__qualname__}, below other decorators"
        raise TypeError(msg)
    if fn.__code__.co_flags & (COROUTINE | inspect.CO_GENERATOR):
        kind = "a generator" if fn.__code__.co_flags & inspect.CO_GENERATOR else "async"
        msg = (
            f"restartable takes a plain function, and {fn.__qualname__} is {kind}: others run at each of its awaits or "
            "yields. Read into a list in a plain function: @preemptio.restartable def read(): ..."
        )
        raise TypeError(msg)
    return cast("F", _wrap(fn, Section(fn)))


def _wrap(fn: Callable[..., Any], section: Section) -> FunctionType:
    @functools.wraps(fn)
    def restarting(*args: Any, **kwargs: Any) -> Any:
        p = current_processor()
        step = None if p is None else p.step
        if step is None:
            return _inside(fn, args, kwargs)
        extra = step[0].extra()
        if extra.restartable is not None:
            if _encloses(sys._getframe(1)):
                return _inside(fn, args, kwargs)
            extra.restartable = None  # an exception hit a wrapper in its last lines
        left = RESTARTS
        while True:
            extra.restartable = section
            try:
                result = fn(*args, **kwargs)
                if extra.restartable is section:
                    return result
            except Restart as restart:
                if restart.caught is not None:
                    restart.caught()
            except BaseException:
                if extra.restartable is section:
                    raise
                # else: C code has put it in the place of the restart, at a torn read
            else:
                raise RuntimeError(
                    f"{section.name} was to be begun again, and C code that it calls has dropped the restart: it may "
                    "have read half of a change. Use @preemptio.nopreempt('why') instead"
                )
            finally:
                extra.restartable = None
            left -= 1
            if not left:
                return _masked(fn, section, extra, args, kwargs)

    return cast("FunctionType", restarting)


def _inside(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Just call: in no task, or in another section, which is begun again as a whole. Known by its frame."""
    return fn(*args, **kwargs)


def _masked(
    fn: Callable[..., Any], section: Section, extra: GExtra, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call for the last time, uninterrupted."""
    extra.restartable = section
    try:
        with nopreempt(f"restartable: {section.name}"):
            return fn(*args, **kwargs)
    finally:
        extra.restartable = None


WRAPPER: Final = _wrap(_guards, TORN).__code__
"""The code of every wrapper."""
_INSIDE: Final = _inside.__code__

BETWEEN.update((WRAPPER, _INSIDE))
