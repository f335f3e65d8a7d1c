"""The C rule: a step is not stopped while C code below it waits for a callback that must come back first.

Problem. Python code that C code calls - a sort key, a function of sqlite3, a weak reference's callback - stands on that
C code's stack. Whether the CPU may be taken there depends on what the C code believes to be true meanwhile.

What does not work. To refuse wherever C code lies between Python frames: `sum(f(x) for x in rows)`, `sorted(key=...)`,
`max(map(...))`, `re.sub(function)`, json's hooks, properties and operators are how hogs are written. Forty-five such
callbacks of the interpreter's own were tried, with others running meanwhile: each is as good as beside a thread that
takes the GIL there, which may happen anyway. A list of C functions that may not be left: the C function does not show,
neither in the frame nor on the evaluation stack, where a callable that was freed already looks like one that was not;
and lists of names rot.

What we do. Refuse by mechanism, where leaving breaks what a thread could not break:

- A library that released the GIL and takes it again for its callback (PyGILState_Ensure): sqlite3, ctypes, pybind11,
  Cython's `with gil`. It is in the middle of a call on its own data. Its locks know threads, so they let in another
  task of this one; and claims to the GIL must end in the order in which they began. The interpreter counts them.
- Code that was called at an instruction that calls nothing: a finalizer, a weak reference's callback, a handler of a
  signal, a generator that is closed because it was dropped. It runs in the middle of straight-line code of somebody.
- The same, met at an instruction that may call: told by their arguments, which are a weak reference, or a frame.
- Methods of a raw stream (io.RawIOBase) that a buffered one calls: it holds a lock that knows threads.

Everything else is allowed, and costs a look at each frame and one byte of its caller. While a list is sorted with a key
it looks empty to others, and the sort says so if they change it.

A loop may have claims of its own: uvloop calls everything from one. So claims count only in a step that has a frame
which C code called, and only above what was counted between steps, or last seen in a step without such a frame.

Context: tick handler and trace callback; `learn` when a batch of steps starts, `forget` when the loop ends to run.
"""

from __future__ import annotations

import _weakref
import inspect
import io
from types import FrameType, FunctionType
from typing import Final

from preemptio._preempt import _iframe
from preemptio._preempt._opcodes import drives
from preemptio._preempt._whose import COROUTINE

_mro: Final = type.__dict__["__mro__"].__get__
_RAW: Final = io.RawIOBase.__mro__[1]  # the C class below the abstract one
_PLAIN: Final = frozenset(
    map(id, (int, str, list, dict, tuple, float, bool, bytes, set, range, FunctionType, type(None)))
)
"""Identities of the classes of most arguments, which live for ever, for a quick way past them."""
_WEAK: Final = frozenset({_weakref.ReferenceType, _weakref.ProxyType, _weakref.CallableProxyType})


class Claims:
    """What the state of one loop's thread says: its claims to the GIL, and whether it is in a tracer."""

    def __init__(self) -> None:
        """Take one claim for the loop's own: what a thread has that nobody called back."""
        self._own = 1  # writer: learn, in_the_way
        self._count: _iframe.Claims | None = None
        self._depth: _iframe.Claims | None = None

    def learn(self) -> None:
        """Take the claims of this moment for the loop's own: no step is running. In the loop's thread."""
        self._count = _iframe.gil_claims_here()
        self._own = self._count.value
        self._depth = _iframe.tracing_depth_here()

    def forget(self) -> None:
        """Count anew for each question: the loop's thread may end."""
        self._count = self._depth = None

    def in_a_tracer(self) -> bool:
        """Report whether a callback of a tracer, a profiler or of sys.monitoring runs."""
        depth = self._depth
        return (_iframe.tracing_depth() if depth is None else depth.value) > 0

    def in_the_way(self, innermost: FrameType, *, peek: bool = False) -> bool:
        """Report whether the step is in a callback of a library that has claimed the GIL; `peek`: learn nothing."""
        count = self._count
        claims = _iframe.gil_claims() if count is None else count.value
        if claims <= self._own:
            return False
        if _called_back(innermost):
            return True
        if not peek:
            self._own = claims  # the loop's, or those of a step that waits in a callback
        return False


def called_aside(frame: FrameType) -> bool:
    """Report whether C code called this frame, of its own accord: by what its arguments are."""
    count = frame.f_code.co_argcount
    return count > 0 and _iframe.AVAILABLE and _iframe.entered_from_c(frame) and _odd(frame, min(count, 3))


def _called_back(frame: FrameType) -> bool:
    """Report whether C code called a frame of the step, other than to drive a generator."""
    while not frame.f_code.co_flags & COROUTINE:
        caller = frame.f_back
        if caller is None:
            break
        if _iframe.entered_from_c(frame) and not (
            frame.f_code.co_flags & inspect.CO_GENERATOR and drives(caller.f_code, caller.f_lasti)
        ):
            return True
        frame = caller
    return False


def _odd(frame: FrameType, count: int) -> bool:
    """Report whether a frame, called by C code, is a weak reference's callback, a signal's handler or a raw stream."""
    for n in range(count):
        if _iframe.kind(frame, n) in _PLAIN:
            continue
        kind = type(_iframe.local(frame, n))
        if kind is FrameType and n:
            return True
        for base in _mro(kind):
            if (base is _RAW and n == 0) or (base in _WEAK and n < 2):
                return True
    return False
