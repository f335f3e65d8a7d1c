"""How much of a frame's evaluation stack is live: what may be read of it.

Problem. A loop's iterator, the arguments of a call that is half made, an exception that is being handled without a
name: the only reference to an object may be on a frame's evaluation stack. Above its top lies what was there before,
freed long ago: to read that is a crash. And a frame that has called C code does not say where its top is.

What we do. Where the interpreter has noted the top (`_iframe.top`) that is it: a suspended generator's, that of a
function which has called another. For the others the depth is computed: the compiler gives every instruction one depth,
whatever way leads to it, so one pass over the bytecode finds them all. The instruction at which the frame stands may
have taken its operands from the stack already, and freed them, so these do not count: below them nothing is touched
before the next instruction.

At a function's entry and at a back edge there are no operands, and what is known is all that there is. An instruction
that drives a generator or a coroutine has that as its operand, whose frame is the next one: nothing is missed either.
What drives one in its turn (`anext()` with a default) and keeps more alive than that stays on the stack from CPython
3.12 on while its frame runs, and counts.
At any other instruction C code is at work, which holds its operands, and more that nobody sees: the frame is known
conservatively.

Invariant. The count is never too high: at worst what is there is missed.

Context: any thread that holds the G.
"""

from __future__ import annotations

import opcode
import weakref
from types import CodeType, FrameType
from typing import Final

from preemptio._preempt import _iframe
from preemptio._preempt._blocks import instructions, ranges, stack_base

_OPMAP: Final = opcode.opmap
_NAMED: Final = opcode.opname
_HAVE_ARGUMENT: Final = opcode.HAVE_ARGUMENT
_JUMPS: Final = frozenset(opcode.hasjrel)
_ENDS: Final = frozenset(
    _OPMAP[name]
    for name in [
        "RETURN_VALUE",
        "RETURN_CONST",
        "RERAISE",
        "RAISE_VARARGS",
        "JUMP_FORWARD",
        "JUMP_BACKWARD",
        "JUMP_BACKWARD_NO_INTERRUPT",
    ]
    if name in _OPMAP
)
_GENERATOR: Final = 0x20 | 0x80 | 0x200
"""CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR."""

_POPS: Final = {
    "RESUME": 0,
    "JUMP_BACKWARD": 0,
    "FOR_ITER": 1,
    "SEND": 1 if "END_SEND" in _OPMAP else 2,  # from 3.12 on another instruction takes what is driven from the stack
    "LOAD_ATTR": 1,
    "LOAD_METHOD": 1,
    "GET_ITER": 1,
    "GET_AWAITABLE": 1,
    "GET_ANEXT": 0,
    "BEFORE_WITH": 1,
    "BEFORE_ASYNC_WITH": 1,
    "WITH_EXCEPT_START": 0,
    "BINARY_OP": 2,
    "BINARY_SUBSCR": 2,
    "COMPARE_OP": 2,
    "CONTAINS_OP": 2,
    "STORE_ATTR": 2,
    "STORE_SUBSCR": 3,
    "CALL_FUNCTION_EX": 4,
    "UNPACK_SEQUENCE": 1,
    "UNPACK_EX": 1,
}
"""Operands that an instruction takes from the stack; of those that are not here it is bounded by their effect."""

_CALLS: Final = {"PRECALL": 2, "CALL": 2, "CALL_KW": 3}
"""Operands besides the arguments, whose number is that of the instruction."""

_AT_REST: Final = frozenset(
    number
    for name, number in _OPMAP.items()
    if name in ("RESUME", "JUMP_BACKWARD") or name.startswith("POP_JUMP_BACKWARD_IF")
)
_CACHE: Final = _OPMAP["CACHE"]
_COMPARE: Final = _OPMAP["COMPARE_OP"]
_FUSES: Final = any(name.startswith("POP_JUMP_BACKWARD_IF") for name in _OPMAP)
_DRIVES: Final = frozenset((_OPMAP["SEND"], _OPMAP["FOR_ITER"]))


def _operands(op: int, arg: int, effect: int) -> int:
    name = _NAMED[op]
    known = _POPS.get(name)
    if known is not None:
        return known
    if name in _CALLS:  # 3.11: PRECALL has the arguments in its effect already
        return _CALLS[name] + (0 if name == "CALL" and "PRECALL" in _OPMAP else arg)
    return max(4, 3 - effect)  # nothing else pushes more than three


class Depths:
    """The depths of one code object."""

    __slots__ = ("_at", "_code", "base")

    def __init__(self, code: CodeType) -> None:
        """Follow every way through the code."""
        self.base = stack_base(code)
        raw = code.co_code
        self._code = raw
        self._at: dict[int, tuple[int, int]] = {}  # an instruction: depth before it, operands
        ops = {each.offset: each for each in instructions(raw)}
        todo = [(0, 0)]
        covers = ranges(code.co_exceptiontable)
        todo += [(each.target, each.depth + each.lasti + 1) for each in covers]
        while todo:
            offset, depth = todo.pop()
            while offset not in self._at and offset in ops:
                each = ops[offset]
                given = each.arg if each.op >= _HAVE_ARGUMENT else None
                effect = opcode.stack_effect(each.op, given, jump=False)
                self._at[offset] = depth, _operands(each.op, each.arg, effect)
                if each.op in _JUMPS:
                    backward = "BACKWARD" in _NAMED[each.op]
                    target = each.after + (-2 if backward else 2) * each.arg
                    todo.append((target, depth + opcode.stack_effect(each.op, given, jump=True)))
                if each.op in _ENDS:
                    break
                # the call of a generator function ends at this instruction, and its first `send` begins after it
                depth = 1 if _NAMED[each.op] == "RETURN_GENERATOR" else depth + effect
                offset = each.after

    def before(self, lasti: int) -> int | None:
        """Return the depth before an instruction; None if no way leads to it."""
        found = self._at.get(lasti)
        return None if found is None else found[0]

    def at(self, lasti: int, callee: FrameType | None) -> tuple[int, bool]:
        """Return how many slots are live in a frame that stands at an instruction, and whether that is all."""
        while lasti > 0 and self._code[lasti] == _CACHE:  # one of its caches counts as the instruction
            lasti -= 2
        found = self._at.get(lasti)
        if found is None:
            return 0, lasti < 0
        depth, operands = found
        return max(0, depth - operands), self._complete(lasti, callee)

    def _complete(self, lasti: int, callee: FrameType | None) -> bool:
        op = self._code[lasti]
        if callee is not None:
            return op in _DRIVES and callee.f_code.co_flags & _GENERATOR != 0
        if _FUSES and op == _COMPARE:  # 3.11: it was executed together with the jump behind it
            return lasti + 6 < len(self._code) and self._code[lasti + 6] in _AT_REST
        return op in _AT_REST


class _Ref(weakref.ref[CodeType]):
    __slots__ = ("key",)
    key: int


_known: Final[dict[int, tuple[_Ref, Depths]]] = {}


def _forget(ref: weakref.ref[CodeType]) -> None:
    assert isinstance(ref, _Ref)
    _known.pop(ref.key, None)


def depths(code: CodeType) -> Depths:
    """Return the depths of a code object; computed once."""
    known = _known.get(id(code))  # not by the code itself: to hash and compare it is slow
    if known is None:
        ref = _Ref(code, _forget)
        ref.key = id(code)
        known = _known[ref.key] = ref, Depths(code)
    return known[1]


def live(frame: FrameType, callee: FrameType | None) -> tuple[int, int, bool]:
    """Return how many variables a frame has, how many slots of its evaluation stack are live, and whether that is all.

    Args:
        frame: one that does not run.
        callee: the frame that it has called, directly or by way of C code; None if it is the innermost.
    """
    table = depths(frame.f_code)
    top = _iframe.top(frame)
    if top >= 0:
        return table.base, top - table.base, True
    return table.base, *table.at(frame.f_lasti, callee)
