"""Which instruction a frame stands at. What surrounds it is `_blocks`.

Problem. A Python signal handler runs at the interpreter's check points, but also deep inside C functions that poll
for signals (repr, big integers, re, json, a buffered writer with its own lock held). Switching away inside one of
those lets another task enter it again: "reentrant call inside <_io.BufferedWriter>", 200 times in three seconds.

What we do. At `f_lasti` the opcode tells. RESUME and the backward jumps call no C function that polls, so a handler
there was called by the interpreter loop itself. A CALL is ambiguous. Hence the guarantee: a task is stopped only at
the entry of a function (or a generator's resumption) and at a loop's back edge, and straight-line code is atomic.

CPython 3.11 fuses COMPARE_OP with the jump that follows it and checks for signals with `f_lasti` at the compare.
Without that rule a `while i < n` loop cannot be stopped at all. An unfused compare may call any C code, so the
specialised instruction is asked for, not the plain one.

Context: tick handler and trace callback. Costs a copy of the code's bytes, about 100 ns.
"""

from __future__ import annotations

import dis
import opcode
from types import CodeType
from typing import Final

_OPMAP: Final = opcode.opmap
RESUME: Final = _OPMAP["RESUME"]
BACK_EDGES: Final = frozenset(
    number
    for name, number in _OPMAP.items()
    if name == "JUMP_BACKWARD" or name.startswith("POP_JUMP_BACKWARD_IF")  # the latter on 3.11 only
)
_COMPARE: Final = _OPMAP["COMPARE_OP"]
_FUSES_COMPARE: Final = any(name.startswith("POP_JUMP_BACKWARD_IF") for name in _OPMAP)
_COMPARE_SIZE: Final = 6  # COMPARE_OP and its two cache entries on 3.11: the jump follows


_FUSED: Final = frozenset(
    number
    for name, number in getattr(dis, "_all_opmap", {}).items()
    if _FUSES_COMPARE and name.startswith("COMPARE_OP_") and name.endswith("_JUMP")
)


def at_safe_opcode(code: CodeType, lasti: int) -> bool:
    """Report whether a signal handler called with this code at `lasti` was called at a safe instruction."""
    if lasti < 0:
        return True
    raw = code.co_code
    op = raw[lasti]
    if op in BACK_EDGES:
        return True
    if op == RESUME:
        return raw[lasti + 1] & 3 < 2
    if _FUSES_COMPARE and op == _COMPARE:
        follows = lasti + _COMPARE_SIZE
        if follows < len(raw) and raw[follows] in BACK_EDGES:
            return _adaptive(code)[lasti] in _FUSED
    return False


SAFE: Final = 1
CALLS_NOTHING: Final = 2
ASK: Final = 4
"""Marks of an instruction: a handler called there was called at a safe one; no code of anybody's is meant to be called
there; whether it is safe has to be asked each time."""

# fmt: off
_CALLS_NOTHING: Final = (
    "RESUME", "JUMP_BACKWARD", "JUMP_FORWARD", "LOAD_FAST", "STORE_FAST", "DELETE_FAST", "LOAD_CONST", "LOAD_DEREF",
    "STORE_DEREF", "DELETE_DEREF", "LOAD_CLOSURE", "POP_TOP", "POP_EXCEPT", "PUSH_", "COPY", "SWAP", "NOP", "MAKE_",
    "RETURN_", "YIELD_VALUE", "BUILD_TUPLE", "BUILD_LIST", "LIST_APPEND", "END_FOR", "RERAISE", "STORE_GLOBAL",
    "DELETE_GLOBAL",
)
# fmt: on
"""How the names of such instructions begin. What is not here is taken for one that calls."""


def _mark(name: str, op: int) -> int:
    mark = SAFE if op in BACK_EDGES or op == RESUME else 0
    if _FUSES_COMPARE and op == _COMPARE:
        mark |= ASK
    return mark | (CALLS_NOTHING if name.startswith(_CALLS_NOTHING) else 0)


_MARKS: Final = bytes(_mark(name, op) for op, name in enumerate(opcode.opname[:256]))


def marks(code: CodeType) -> bytes:
    """Return the marks of a code's instructions, by their offsets."""
    raw = code.co_code
    found = bytearray(raw.translate(_MARKS))
    at = raw.find(RESUME)
    while at >= 0:
        if not at & 1 and raw[at + 1] & 3 >= 2:  # the end of an await: no check point
            found[at] &= ~SAFE
        at = raw.find(RESUME, at + 1)
    return bytes(found)


_DRIVES: Final = frozenset(_OPMAP[name] for name in ("FOR_ITER", "SEND"))


def drives(code: CodeType, lasti: int) -> bool:
    """Report whether the instruction drives an iterator: the code that runs there was called by it."""
    return code.co_code[lasti] in _DRIVES


_SILENT: Final = BACK_EDGES | {RESUME, _OPMAP["NOP"], _OPMAP["CACHE"], _OPMAP.get("JUMP_FORWARD", RESUME)}


def may_raise_at(code: CodeType, lasti: int) -> bool:
    """Report whether an exception at this instruction finds the handlers that the source has around it."""
    return lasti >= 0 and code.co_code[lasti] not in _SILENT


_HANDLER: Final = _OPMAP["PUSH_EXC_INFO"]


def has_handlers(code: CodeType) -> bool:
    """Report whether the code has a `try` or a `with`; what generators and comprehensions have does not count."""
    return bool(code.co_exceptiontable) and _HANDLER in code.co_code[::2]


def _adaptive(code: CodeType) -> bytes:
    return bytes(code._co_code_adaptive)  # type: ignore[attr-defined]  # 3.11+: the specialised instructions


CALLS: Final = frozenset(_OPMAP[name] for name in ("CALL", "CALL_KW") if name in _OPMAP)
WITHS: Final = frozenset(_OPMAP[name] for name in ("BEFORE_WITH",) if name in _OPMAP)
