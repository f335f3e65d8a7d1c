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

Context: tick handler and trace callback; `learn` when a batch of steps starts.
"""

from __future__ import annotations

import _weakref
import inspect
import io
import opcode
from types import CodeType, FrameType
from typing import Final

from preemptio._preempt import _iframe

COROUTINE: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
"""Flags of the code that owns a step: C code beyond it stands at an await."""

_DRIVES: Final = frozenset(opcode.opmap[name] for name in ("FOR_ITER", "SEND"))

# fmt: off
_CALL_NOTHING: Final = frozenset(number for name, number in opcode.opmap.items() if name.startswith((
    "RESUME", "JUMP_BACKWARD", "JUMP_FORWARD", "LOAD_FAST", "STORE_FAST", "DELETE_FAST", "LOAD_CONST", "LOAD_DEREF",
    "STORE_DEREF", "DELETE_DEREF", "LOAD_CLOSURE", "POP_TOP", "POP_EXCEPT", "PUSH_", "COPY", "SWAP", "NOP", "MAKE_",
    "RETURN_", "YIELD_VALUE", "BUILD_TUPLE", "BUILD_LIST", "LIST_APPEND", "END_FOR", "RERAISE", "STORE_GLOBAL",
    "DELETE_GLOBAL",
)))
# fmt: on
"""Instructions at which no code of anybody's is meant to be called. What is not here is taken for one that calls."""

_mro: Final = type.__dict__["__mro__"].__get__
_RAW: Final = io.RawIOBase.__mro__[1]  # the C class below the abstract one
_WEAK: Final = frozenset({_weakref.ReferenceType, _weakref.ProxyType, _weakref.CallableProxyType})


_own = 1  # writer: learn, _claimed


def learn() -> None:
    """Take the claims of this moment for the loop's own: no step is running."""
    global _own  # noqa: PLW0603 - one loop at a time ticks in a process
    if _iframe.AVAILABLE:
        _own = _iframe.gil_claims()


def in_the_way(innermost: FrameType, *, peek: bool = False) -> bool:
    """Report whether C code that must not be left is below a frame of the running step; `peek`: learn nothing."""
    if _iframe.AVAILABLE and _claimed(innermost, peek):
        return True
    frame = innermost
    while not frame.f_code.co_flags & COROUTINE:
        caller = frame.f_back
        if caller is None:
            break
        lasti = caller.f_lasti
        if lasti >= 0 and _opcode(caller.f_code, lasti) in _CALL_NOTHING:
            return True
        if _iframe.AVAILABLE and _iframe.entered_from_c(frame) and _odd(frame):
            return True
        frame = caller
    return False


def _claimed(innermost: FrameType, peek: bool) -> bool:
    global _own  # noqa: PLW0603
    claims = _iframe.gil_claims()
    if claims <= _own:
        return False
    if _called_back(innermost):
        return True
    if not peek:
        _own = claims  # the loop's, or those of a step that waits in a callback
    return False


def _called_back(frame: FrameType) -> bool:
    """Report whether C code called a frame of the step, other than to drive a generator."""
    while not frame.f_code.co_flags & COROUTINE:
        caller = frame.f_back
        if caller is None:
            break
        if _iframe.entered_from_c(frame) and not (
            frame.f_code.co_flags & inspect.CO_GENERATOR and _opcode(caller.f_code, caller.f_lasti) in _DRIVES
        ):
            return True
        frame = caller
    return False


def _opcode(code: CodeType, lasti: int) -> int:
    return code.co_code[lasti]


def _odd(frame: FrameType) -> bool:
    """Report whether a frame, called by C code, is a weak reference's callback, a signal's handler or a raw stream."""
    count = min(frame.f_code.co_argcount, 3)  # with self
    for n in range(count):
        kind = type(_iframe.local(frame, n))
        if (
            (kind in _WEAK and n < 2)
            or (kind is FrameType and n)
            or (n == 0 and any(base is _RAW for base in _mro(kind)))
        ):
            return True
    return False
