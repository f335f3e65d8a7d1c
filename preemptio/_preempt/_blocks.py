"""Which `with` statements and `try ... finally: x.release()` surround an instruction: read from the exception table.

Problem. A frame does not say what it holds. The names in the source do not either: a lock has aliases, is an attribute,
an element, the result of a call, one of `with a, b`, and a name may be bound anew inside the body.

What does not work. The source, and the hull of a statement's lines: a `continue` inside the body first leaves it. The
instructions executed so far: unknown.

What we do. CPython keeps the bound `__exit__` of each `with` that is being executed on the frame's evaluation stack.
The exception table says for each instruction how many of the lowest stack slots survive an exception there, so these
are valid objects at that instruction; where the handler begins with WITH_EXCEPT_START the topmost of them is an
`__exit__`. The handlers further out are found by asking again for the handler's own handler. A `finally` that releases
is found by its handler's code: a variable, attributes, `release`. The compiler copies it to each way out of the body;
from the body along every way the lock counts as held until it is released so. The handler itself is such a way.

Jumps, and the NOP that a `try` begins with, are not always covered. What they lead to is, and getting there changes no
slot that is kept there, so they take what that has.

Invariants. A slot is named only for instructions at which it is live: to read a dead one is a crash. Built once per
code object, kept by its identity as long as it lives: two equal codes have equal tables anyway, and hashing is slow.

Context: tick handler and trace callback.
"""

from __future__ import annotations

import opcode
import weakref
from bisect import bisect_right
from collections.abc import Iterator
from types import CodeType
from typing import Final, NamedTuple

_OPMAP: Final = opcode.opmap
_NAMED: Final = opcode.opname
_PSEUDO: Final = 256
"""Numbers from here on are the compiler's own and never executed."""


def _ops(*names: str) -> frozenset[int]:
    return frozenset(number for name in names if (number := _OPMAP.get(name, _PSEUDO)) < _PSEUDO)


_EXTENDED: Final = _OPMAP["EXTENDED_ARG"]
_PUSH_EXC: Final = _OPMAP["PUSH_EXC_INFO"]
_WITH_EXCEPT: Final = _OPMAP["WITH_EXCEPT_START"]
_AWAITS: Final = _ops("GET_AWAITABLE")
_FAST: Final = _ops("LOAD_FAST", "LOAD_FAST_CHECK")
_FAST_PAIR: Final = _ops("LOAD_FAST_LOAD_FAST")
_DEREF: Final = _ops("LOAD_DEREF")
_GLOBAL: Final = _ops("LOAD_GLOBAL", "LOAD_NAME")
_METHOD: Final = _ops("LOAD_METHOD")
_ATTR: Final = _ops("LOAD_ATTR")
_JUMPS: Final = frozenset(opcode.hasjrel)
_ENDS: Final = _ops("RETURN_VALUE", "RETURN_CONST", "RERAISE", "RAISE_VARARGS")
_ALWAYS: Final = _ops("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT")
_NOTHING: Final = _ops("NOP", "EXTENDED_ARG")
_COMPARE: Final = _OPMAP["COMPARE_OP"]
_ATTR_HAS_BIT: Final = not _METHOD  # 3.12: LOAD_ATTR says by its lowest bit that a method is wanted
_FUSES: Final = any(name.startswith("POP_JUMP_BACKWARD_IF") for name in _OPMAP)  # 3.11: a compare and its jump are one

_HOPS: Final = 8
"""Jumps to jumps that are followed."""


class Chain(NamedTuple):
    """How an object is found without running code: a variable, then attributes."""

    kind: str  # "fast" or "cell", with the slot's number; or "global"
    slot: int
    name: str
    attributes: tuple[str, ...]


class Exit(NamedTuple):
    """A slot of the evaluation stack that holds the `__exit__` of a `with`, or the `__aexit__` of an `async with`."""

    slot: int
    asynchronous: bool


class Surroundings(NamedTuple):
    """What surrounds an instruction, innermost first."""

    exits: tuple[Exit, ...]
    releases: tuple[Chain, ...]


class _Range(NamedTuple):
    start: int
    end: int
    target: int
    depth: int
    lasti: bool  # whether the instruction's number is pushed as well, below the exception


class _Op(NamedTuple):
    offset: int
    op: int
    arg: int
    after: int  # the offset behind it and its caches


_NOWHERE: Final = Surroundings((), ())


class Blocks:
    """The table of one code object that has such statements."""

    __slots__ = ("_at", "_starts", "stack")

    def __init__(self, stack: int, at: dict[int, Surroundings]) -> None:
        """Take the number of the first evaluation stack slot, and what surrounds each instruction."""
        self.stack = stack
        self._starts = sorted(at)
        self._at = at

    def at(self, lasti: int) -> Surroundings:
        """Return what surrounds the instruction at this offset; a cache entry counts as its instruction."""
        found = self._at.get(lasti)
        if found is None:
            index = bisect_right(self._starts, lasti) - 1
            found = self._at[self._starts[index]] if index >= 0 else _NOWHERE
        return found


class _Ref(weakref.ref[CodeType]):
    __slots__ = ("key",)
    key: int


_tables: Final[dict[int, tuple[_Ref, Blocks | None]]] = {}


def _forget(ref: weakref.ref[CodeType]) -> None:
    assert isinstance(ref, _Ref)
    _tables.pop(ref.key, None)


def blocks(code: CodeType) -> Blocks | None:
    """Return the table of a code object; None if it has no `with` and no `finally` with a release in it."""
    if not code.co_exceptiontable:
        return None
    known = _tables.get(id(code))
    if known is None:
        ref = _Ref(code, _forget)
        ref.key = id(code)
        known = _tables[ref.key] = ref, _Builder(code).build()
    return known[1]


def stack_base(code: CodeType) -> int:
    """Return how many slots a frame of this code has before its evaluation stack: variables, cells, free variables."""
    count = 0
    try:
        while True:
            code._varname_from_oparg(count)  # type: ignore[attr-defined]  # names compared by hand would count some twice
            count += 1
    except IndexError:
        return count


def instructions(raw: bytes) -> Iterator[_Op]:
    """Decode bytecode, without its caches."""
    extended, offset = 0, 0
    while offset < len(raw):
        op, arg, after = raw[offset], raw[offset + 1] | extended, offset + 2
        if op == _EXTENDED:
            extended = arg << 8
        else:
            extended = 0
            while after < len(raw) and raw[after] == 0:  # CACHE
                after += 2
        yield _Op(offset, op, arg, after)
        offset = after


def ranges(table: bytes) -> Iterator[_Range]:
    """Decode an exception table: numbers of six bits a byte, the highest first, bit 6 if more of it follow."""
    numbers: list[int] = []
    value = 0
    for byte in table:
        value = value << 6 | byte & 63
        if not byte & 64:
            numbers.append(value)
            value = 0
    for start, length, target, depth in zip(*[iter(numbers)] * 4, strict=True):
        yield _Range(2 * start, 2 * (start + length), 2 * target, depth >> 1, bool(depth & 1))


class _Builder:
    def __init__(self, code: CodeType) -> None:
        self._code = code
        self._ranges = list(ranges(code.co_exceptiontable))
        self._starts = [each.start for each in self._ranges]

    def build(self) -> Blocks | None:
        raw = self._code.co_code
        if _WITH_EXCEPT not in raw and "release" not in self._code.co_names:
            return None
        self._ops = list(instructions(raw))
        self._index = {each.offset: i for i, each in enumerate(self._ops)}
        self._handlers: dict[int, tuple[Exit | None, tuple[Chain, ...]]] = {}
        for protected in self._ranges:
            if protected.target not in self._handlers:
                self._handlers[protected.target] = self._exit(protected), self._released_in(protected.target)
        at = self._covered()
        for i, each in enumerate(self._ops):
            at[each.offset] = _both(at[each.offset], self._silent(at, i))
        for handler, (_exit, chains) in self._handlers.items():
            for chain in chains:
                self._until_released(at, handler, chain)
        if not any(each.exits or each.releases for each in at.values()):
            return None
        return Blocks(stack_base(self._code), at)

    def _covered(self) -> dict[int, Surroundings]:
        """Return what the exception table alone says of each instruction."""
        around = {each.target: self._around(each) for each in self._ranges}
        covered = dict.fromkeys((each.offset for each in self._ops), _NOWHERE)
        for each in self._ranges:
            for offset in range(each.start, each.end, 2):
                if offset in covered:
                    covered[offset] = around[each.target]
        return covered

    def _cover(self, offset: int) -> _Range | None:
        index = bisect_right(self._starts, offset) - 1
        return self._ranges[index] if index >= 0 and offset < self._ranges[index].end else None

    def _around(self, handler: _Range | None) -> Surroundings:
        exits: list[Exit] = []
        releases: list[Chain] = []
        for _ in self._ranges:
            if handler is None:
                break
            leave, chains = self._handlers[handler.target]
            if leave is not None:
                exits.append(leave)
            releases += chains
            handler = self._cover(handler.target)
        return Surroundings(tuple(exits), tuple(releases)) if exits or releases else _NOWHERE

    def _exit(self, handler: _Range) -> Exit | None:
        first = self._index[handler.target]
        ops = [each.op for each in self._ops[first : first + 3]]
        if ops[:2] != [_PUSH_EXC, _WITH_EXCEPT] or handler.depth < 1:
            return None
        return Exit(handler.depth - 1, ops[2] in _AWAITS)

    def _released_in(self, target: int) -> tuple[Chain, ...]:
        """Return what a handler's code releases; it ends where the handler of the handler begins."""
        cleanup = self._cover(target)
        if cleanup is None or cleanup.target <= target or self._ops[self._index[target]].op != _PUSH_EXC:
            return ()
        first, last = self._index[target], self._index[cleanup.target]
        return tuple({chain for _, chain in self._releases(first, last)})

    def _releases(self, first: int, last: int) -> Iterator[tuple[int, Chain]]:
        """Yield the offset and the chain of each `<variable>.<attributes>.release` that is loaded as a method."""
        names = self._code.co_names
        root: Chain | None = None
        for each in self._ops[first:last]:
            op, arg = each.op, each.arg
            if op == _EXTENDED:
                continue
            if op in _FAST or op in _FAST_PAIR:
                root = Chain("fast", arg & 15 if op in _FAST_PAIR else arg, "", ())
            elif op in _DEREF:
                root = Chain("cell", arg, "", ())
            elif op in _GLOBAL:
                index = arg >> 1 if _NAMED[op] == "LOAD_GLOBAL" else arg
                root = Chain("global", 0, names[index], ())
            elif root is not None and (op in _ATTR or op in _METHOD):
                method = op in _METHOD or (_ATTR_HAS_BIT and bool(arg & 1))
                name = names[arg >> 1 if _ATTR_HAS_BIT else arg]
                if method:
                    if name == "release":
                        yield each.offset, root
                    root = None
                else:
                    root = root._replace(attributes=(*root.attributes, name))
            else:
                root = None

    def _silent(self, at: dict[int, Surroundings], i: int) -> Surroundings:
        """Return what surrounds the place that a jump, or an instruction that does nothing, leads to."""
        for _ in range(_HOPS):
            each, jump = self._ops[i], self._jump(i)
            if jump is not None:
                i = self._index[self._target(jump)]
            elif each.op in _NOTHING and i + 1 < len(self._ops):
                i += 1
            else:
                break
            if at[self._ops[i].offset] is not _NOWHERE:
                break
        return at[self._ops[i].offset]

    def _until_released(self, at: dict[int, Surroundings], handler: int, chain: Chain) -> None:
        """Extend a chain from where it holds, and from the handler, along every way out until it is released."""
        releases = {offset for offset, found in self._releases(0, len(self._ops)) if found == chain}
        covered = {i for i, each in enumerate(self._ops) if chain in at[each.offset].releases}
        todo, seen = [*covered, self._index[handler]], {*covered, self._index[handler]}
        while todo:
            i = todo.pop()
            each = self._ops[i]
            if i not in covered:
                at[each.offset] = _both(at[each.offset], Surroundings((), (chain,)))
                if each.offset in releases:
                    continue
            for after in self._successors(i):
                if after not in seen:
                    seen.add(after)
                    todo.append(after)

    def _successors(self, i: int) -> Iterator[int]:
        each = self._ops[i]
        if each.op in _JUMPS:
            yield self._index[self._target(each)]
        if each.op not in _ENDS and each.op not in _ALWAYS and i + 1 < len(self._ops):
            yield i + 1

    def _jump(self, i: int) -> _Op | None:
        """Return the jump that an instruction is; on 3.11 a compare may be executed together with its jump."""
        each = self._ops[i]
        if each.op in _JUMPS:
            return each
        if _FUSES and each.op == _COMPARE and i + 1 < len(self._ops) and self._ops[i + 1].op in _JUMPS:
            return self._ops[i + 1]
        return None

    def _target(self, jump: _Op) -> int:
        backward = "BACKWARD" in _NAMED[jump.op]
        return jump.after + (-2 if backward else 2) * jump.arg


def _both(a: Surroundings, b: Surroundings) -> Surroundings:
    if not (b.exits or b.releases) or a == b:
        return a
    return Surroundings(
        a.exits + tuple(each for each in b.exits if each not in a.exits),
        a.releases + tuple(each for each in b.releases if each not in a.releases),
    )
