"""The interpreter's own frame behind a Python frame: the one door to what no Python interface shows.

Problem. What a frame has on its evaluation stack, what its variables hold, whether C code called it, and whether a
foreign library is waiting below it for a callback to return: the rules need to know, in a signal handler, and Python
does not say. `f_locals` copies every variable into a dictionary and, on some versions, back.

What we do. Read memory, by ctypes: the layouts of CPython 3.11, 3.12 and 3.13, on builds with the GIL and without
tracing of references. The offset of the count of PyGILState_Ensure in the thread's state differs between patch
releases, so it is found by watching which number rises by one with each nested callback.

Invariants. Everything is tried once, at import, on a frame whose answers are known; `AVAILABLE` is False, and nothing
here is called, where the interpreter is unknown or an answer is wrong. Only slots that the caller knows to be live
are read. Nothing is written. Runs no code of the user's: what is read is handed out, and never asked anything.

Context: any frame of the running thread, in the tick handler and in trace callbacks. Half a microsecond a read.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from types import CellType, FrameType
from typing import Any, Final

from preemptio._compat import RELEASE, unsupported

_word: Final = ctypes.c_size_t.from_address
_byte: Final = ctypes.c_ubyte.from_address
_int: Final = ctypes.c_int.from_address
_object: Final = ctypes.py_object.from_address

_WORD: Final = ctypes.sizeof(ctypes.c_size_t)
_F_FRAME: Final = 3 * _WORD  # in a frame object: behind its head and f_back
_CODE: Final = {(3, 11): 4 * _WORD}.get(RELEASE, 0)
_FRAME_OBJECT: Final = {(3, 11): 5 * _WORD}.get(RELEASE, 6 * _WORD)
_PREVIOUS: Final = _WORD  # 3.12 and later
_IS_ENTRY: Final = 8 * _WORD + 4  # 3.11
_OWNER: Final = 8 * _WORD + 6  # 3.12 and later
_LOCALS: Final = 9 * _WORD
_OWNED_BY_C_STACK: Final = 3

_KNOWN: Final = frozenset({(3, 11), (3, 12), (3, 13)})


def local(frame: FrameType, index: int) -> object:
    """Return what a frame's variable holds, by number; None if nothing. A cell's content for a cell."""
    found = slot(frame, index)
    if type(found) is CellType:
        try:
            return found.cell_contents
        except ValueError:
            return None
    return found


def slot(frame: FrameType, index: int) -> object:
    """Return the object in a slot of a frame: variables first, then the evaluation stack. It must be live."""
    address = _word(id(frame) + _F_FRAME).value + _LOCALS + index * _WORD
    return _object(address).value if _word(address).value else None


def entered_from_c(frame: FrameType) -> bool:
    """Report whether C code called this frame; the frames of Python calls follow each other directly."""
    address = _word(id(frame) + _F_FRAME).value
    if RELEASE == (3, 11):
        return bool(_byte(address + _IS_ENTRY).value)
    previous = _word(address + _PREVIOUS).value
    return not previous or _byte(previous + _OWNER).value == _OWNED_BY_C_STACK


def gil_claims() -> int:
    """Return how many nested PyGILState_Ensure this thread is in; 1 in a thread's own code. 0 if that is not known."""
    return _int(_thread_state() + _claims_at).value if _claims_at else 0


def _no_thread_state() -> int:
    return 0


_thread_state: Callable[[], Any] = _no_thread_state
_claims_at = 0


def _find_claims() -> int:
    """Return the offset of the count in the thread's state; 0 if it does not show itself."""
    global _thread_state  # noqa: PLW0603 - bound once, at import
    _thread_state = ctypes.pythonapi.PyThreadState_Get
    _thread_state.restype = ctypes.c_void_p
    _thread_state.argtypes = ()
    seen: list[list[int]] = []
    callback = ctypes.CFUNCTYPE(None)

    def nest(levels: int) -> None:
        seen.append(list((ctypes.c_int * 64).from_address(_thread_state())))
        if levels:
            callback(lambda: nest(levels - 1))()

    nest(3)
    found = [i for i in range(64) if [row[i] - seen[0][i] for row in seen] == [0, 1, 2, 3]]
    # In the main thread the count begins at 1; a thread of somebody's own may import us while it is in a callback.
    return found[0] * ctypes.sizeof(ctypes.c_int) if len(found) == 1 and seen[0][found[0]] >= 1 else 0


def _probe(first: object, second: object) -> bool:
    """Answer whether what is read of this very frame is true."""
    third = [first, second]
    frame = sys._getframe()
    address = _word(id(frame) + _F_FRAME).value
    if _word(address + _CODE).value != id(frame.f_code) or _word(address + _FRAME_OBJECT).value != id(frame):
        return False
    called_by_python = not entered_from_c(frame)
    called_by_c: list[bool] = []

    def key(_each: object) -> int:
        called_by_c.append(entered_from_c(sys._getframe()))
        return len([first])  # what makes `first` a cell out there

    sorted([first], key=key)
    return (
        local(frame, 0) is first
        and local(frame, 1) is second
        and local(frame, 2) is third
        and called_by_python
        and called_by_c == [True]
    )


def _check() -> bool:
    if RELEASE not in _KNOWN or unsupported() is not None or hasattr(sys, "getobjects"):
        return False
    if object.__basicsize__ != 2 * _WORD or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    try:
        return _probe(object(), object())
    except Exception:
        return False


AVAILABLE: Final = _check()
"""Whether what this file reads is true on this interpreter."""

if AVAILABLE:
    try:
        _claims_at = _find_claims()
    except Exception:  # no memory may be made executable here, for instance
        _claims_at = 0
