"""The interpreter's own frame behind a Python frame: the one door to what no Python interface shows.

Problem. What a frame has on its evaluation stack, what its variables hold, whether C code called it, and whether a
foreign library is waiting below it for a callback to return: the rules need to know, in a signal handler, and Python
does not say. `f_locals` copies every variable into a dictionary and, on some versions, back.

What we do. Read memory, by ctypes: the layouts of CPython 3.11, 3.12 and 3.13, on builds with the GIL and without
tracing of references. The offsets of two counts in the thread's state differ between releases, so they are found by
watching which number moves as it should: that of PyGILState_Ensure rises by one with each nested callback, that of
trace and profile callbacks by one in such a callback, and is back at zero in what `sys.call_tracing` calls there.

Invariants. Everything is tried once, at import, on a frame whose answers are known; `AVAILABLE` is False, and nothing
here is called, where the interpreter is unknown or an answer is wrong. Only slots that the caller knows to be live
are read. Nothing is written. Runs no code of the user's: what is read is handed out, and never asked anything.

Context: any frame of the running thread, in the tick handler and in trace callbacks. Half a microsecond a read.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import weakref
from collections.abc import Callable
from types import CellType, FrameType, FunctionType
from typing import Any, Final, Protocol

from preemptio._compat import RELEASE, unsupported

_int: Final = ctypes.c_int.from_address
_object: Final = ctypes.py_object.from_address

_bytes = _words = memoryview(b"").cast("B")
"""The memory of this process, as bytes and as words: an index is a third of the price of an object of ctypes.
Writer: _check."""

_WORD: Final = ctypes.sizeof(ctypes.c_size_t)
_F_FRAME: Final = 3 * _WORD  # in a frame object: behind its head and f_back
_CODE: Final = {(3, 11): 4 * _WORD}.get(RELEASE, 0)
_FRAME_OBJECT: Final = {(3, 11): 5 * _WORD}.get(RELEASE, 6 * _WORD)
_PREVIOUS: Final = _WORD  # 3.12 and later
_FUNCTION: Final = {(3, 11): 0}.get(RELEASE, 2 * _WORD)
_NAMESPACE: Final = {(3, 11): 3 * _WORD}.get(RELEASE, 5 * _WORD)
_TOP: Final = 8 * _WORD  # an int
_IS_ENTRY: Final = 8 * _WORD + 4  # 3.11
_OWNER: Final = 8 * _WORD + 6  # 3.12 and later
_LOCALS: Final = 9 * _WORD
_OWNER_KIND: Final = {(3, 11): 8 * _WORD + 5}.get(RELEASE, _OWNER)
_OWNED_BY_GENERATOR: Final = 1
_OWNED_BY_C_STACK: Final = 3
_INT: Final = 0xFFFF_FFFF

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
    address = _words[id(frame) + _F_FRAME >> 3] + _LOCALS + index * _WORD
    return _object(address).value if _words[address >> 3] else None


def top(frame: FrameType) -> int:
    """Return how many slots of a frame are live, from its first variable on; -1 while the interpreter has not noted it.

    It does so when a generator is suspended and when one Python function calls another, and forgets it when the frame
    goes on. In a frame that has called C code, or has called nothing, it is -1.
    """
    noted = _words[_words[id(frame) + _F_FRAME >> 3] + _TOP >> 3] & _INT
    return -1 if noted == _INT else noted


def function(frame: FrameType) -> object:
    """Return the function that a frame executes, which it refers to; None if there is none."""
    address = _words[id(frame) + _F_FRAME >> 3] + _FUNCTION
    return _object(address).value if _words[address >> 3] else None


def namespace(frame: FrameType) -> object:
    """Return the dictionary that a frame has for its variables, as that of a class body; None if it has none.

    On 3.11 and 3.12 one for a function is made when somebody asks for locals(), and stays there with what it holds.
    """
    address = _words[id(frame) + _F_FRAME >> 3] + _NAMESPACE
    return _object(address).value if _words[address >> 3] else None


def generator(frame: FrameType) -> Any:
    """Return the generator or coroutine whose frame it is: that lies inside of it. None for a function's."""
    address = _words[id(frame) + _F_FRAME >> 3]
    if _bytes[address + _OWNER_KIND] != _OWNED_BY_GENERATOR:
        return None
    return ctypes.cast(address - _frame_in_generator, ctypes.py_object).value


def behind_proxy(proxy: object) -> object:
    """Return what a `weakref.proxy` stands for; None if that is gone, or cannot be read. All else asks the object."""
    return _object(id(proxy) + object.__basicsize__).value if AVAILABLE else None


def peek(frame: FrameType) -> dict[str, object]:
    """Return the variables of a function's frame that another thread runs; 3.11 and 3.12.

    No other thread gets in between: after the call of `id` there is no instruction that gives the GIL up until `clear`
    has been called. The dictionary that asking leaves in the frame is left empty. Nothing is returned if the program
    has asked for locals() there, since to ask again would change what it got.
    """
    collects = gc.isenabled()
    gc.disable()  # 3.11 collects, and so runs finalizers, wherever an object is made
    try:
        at = id(frame) + _F_FRAME >> 3
        if _words[_words[at] + _NAMESPACE >> 3]:
            return {}
        seen = frame.f_locals
        found = {**seen}
        seen.clear()
    finally:
        if collects:
            gc.enable()
    return found


def kind(frame: FrameType, index: int) -> int:
    """Return the identity of the class of what a frame's variable holds, by number; 0 if nothing. A cell is a cell."""
    found = _words[(_words[id(frame) + _F_FRAME >> 3] + _LOCALS >> 3) + index]
    return _words[(found >> 3) + 1] if found else 0


if RELEASE == (3, 11):

    def entered_from_c(frame: FrameType) -> bool:
        """Report whether C code called this frame; the frames of Python calls follow each other directly."""
        return _bytes[_words[id(frame) + _F_FRAME >> 3] + _IS_ENTRY] != 0

else:

    def entered_from_c(frame: FrameType) -> bool:
        """Report whether C code called this frame; the frames of Python calls follow each other directly."""
        previous = _words[_words[id(frame) + _F_FRAME >> 3] + _PREVIOUS >> 3]
        return not previous or _bytes[previous + _OWNER] == _OWNED_BY_C_STACK


def gil_claims() -> int:
    """Return how many nested PyGILState_Ensure this thread is in; 1 in a thread's own code. 0 if that is not known."""
    return _int(_thread_state() + _claims_at).value if _claims_at else 0


class Claims(Protocol):
    """A count that is read where it lies."""

    value: int


class NoClaims:
    """Where it is not known where the count lies."""

    value = 0


def gil_claims_here() -> Claims:
    """Return the count of `gil_claims` for this thread, to be read often; not when the thread has ended."""
    return _int(_thread_state() + _claims_at) if _claims_at else NoClaims()


def tracing_depth() -> int:
    """Return how deep this thread is in callbacks of tracers, profilers and sys.monitoring. 0 if that is not known."""
    return _int(_thread_state() + _depth_at).value if _depth_at else 0


def tracing_depth_here() -> Claims:
    """Return the count of `tracing_depth` for this thread, as `gil_claims_here` does."""
    return _int(_thread_state() + _depth_at) if _depth_at else NoClaims()


def _no_thread_state() -> int:
    return 0


_frame_in_generator = 0  # bytes from its beginning; writer: _find_frame
_thread_state: Callable[[], Any] = _no_thread_state
_claims_at = 0
_depth_at = 0


def _numbers() -> list[int]:
    return list((ctypes.c_int * 64).from_address(_thread_state()))


def _find_claims() -> int:
    """Return the offset of the count in the thread's state; 0 if it does not show itself."""
    global _thread_state  # noqa: PLW0603 - bound once, at import
    _thread_state = ctypes.pythonapi.PyThreadState_Get
    _thread_state.restype = ctypes.c_void_p
    _thread_state.argtypes = ()
    seen: list[list[int]] = []
    callback = ctypes.CFUNCTYPE(None)

    def nest(levels: int) -> None:
        seen.append(_numbers())
        if levels:
            callback(lambda: nest(levels - 1))()

    nest(3)
    found = [i for i in range(64) if [row[i] - seen[0][i] for row in seen] == [0, 1, 2, 3]]
    # In the main thread the count begins at 1; a thread of somebody's own may import us while it is in a callback.
    return found[0] * ctypes.sizeof(ctypes.c_int) if len(found) == 1 and seen[0][found[0]] >= 1 else 0


def _find_depth() -> int:
    """Return the offset of the depth of callbacks; 0 if it does not show itself, or somebody profiles already."""
    if sys.getprofile() is not None:
        return 0
    seen = [_numbers()]

    def on_event(*_: object) -> None:
        sys.setprofile(None)
        seen.extend((_numbers(), sys.call_tracing(_numbers, ()), _numbers()))

    sys.setprofile(on_event)
    try:
        seen.append(_numbers())  # the call is the event
    finally:
        sys.setprofile(None)
    found = [i for i in range(64) if [row[i] for row in seen] == [0, 1, 0, 1, 0]]
    return found[0] * ctypes.sizeof(ctypes.c_int) if len(found) == 1 else 0


def _find_frame() -> int:
    """Return how far inside of a generator its frame lies; 0 if the three kinds do not agree."""

    async def coroutine() -> None: ...

    async def asynchronous() -> Any:
        yield

    nothing: tuple[object, ...] = ()
    one: Any = (each for each in nothing)
    two: Any = coroutine()
    three: Any = asynchronous()
    frames = (one, one.gi_frame), (two, two.cr_frame), (three, three.ag_frame)
    found = {_words[id(frame) + _F_FRAME >> 3] - id(owner) for owner, frame in frames}
    owned = {_bytes[_words[id(frame) + _F_FRAME >> 3] + _OWNER_KIND] for _, frame in frames}
    two.close()
    distance = found.pop()
    return distance if not found and owned == {_OWNED_BY_GENERATOR} and 0 < distance < one.__sizeof__() else 0


def _probe(first: object, second: object) -> bool:
    """Answer whether what is read of this very frame is true."""
    third = [first, second]
    frame = sys._getframe()
    address = _words[id(frame) + _F_FRAME >> 3]
    if _words[address + _CODE >> 3] != id(frame.f_code) or _words[address + _FRAME_OBJECT >> 3] != id(frame):
        return False
    called_by_python = not entered_from_c(frame)
    called_by_c: list[bool] = []

    def key(_each: object) -> int:
        called_by_c.append(entered_from_c(sys._getframe()))
        return len([first])  # what makes `first` a cell out there

    sorted([first], key=key)
    each: Any = (one for one in (third,))
    next(each)
    suspended, made, proxy = each.gi_frame, function(each.gi_frame), weakref.proxy(_probe)
    return (
        local(frame, 0) is first
        and local(frame, 1) is second
        and local(frame, 2) is third
        and kind(frame, 2) == id(list)
        and called_by_python
        and called_by_c == [True]
        and (top(suspended), slot(suspended, 1), namespace(suspended)) == (3, third, None)
        and list(map(top, [frame])) == [-1]
        and function(frame) is _probe
        and _object(id(proxy) + object.__basicsize__).value is _probe
        and generator(frame) is None
        and generator(suspended) is each
        and type(made) is FunctionType
        and made.__code__ is suspended.f_code
    )


def _check() -> bool:
    global _bytes, _words, _frame_in_generator  # noqa: PLW0603 - bound once, at import
    if RELEASE not in _KNOWN or unsupported() is not None or hasattr(sys, "getobjects"):
        return False
    if object.__basicsize__ != 2 * _WORD or ctypes.sizeof(ctypes.c_void_p) != 8:
        return False
    try:
        _bytes = memoryview((ctypes.c_ubyte * (1 << 47)).from_address(0)).cast("B").toreadonly()
        _words = _bytes.cast("P")
        _frame_in_generator = _find_frame()
        return _frame_in_generator > 0 and _probe(object(), object())
    except Exception:
        return False


AVAILABLE: Final = _check()
"""Whether what this file reads is true on this interpreter."""

if AVAILABLE:
    try:
        _claims_at = _find_claims()
        _depth_at = _find_depth()
    except Exception:  # no memory may be made executable here, for instance
        _claims_at = _depth_at = 0
