"""Which function a frame is about to call, or is inside of: read from the bytecode, without running anything.

Problem. A tick that lands on a call cannot see the C function that it interrupted. Whether that one merely waits, so
that others may run meanwhile, decides what may be done.

What we do. The instructions before the call say how its callable was loaded: a name, and attributes of it. The chain is
found once per place, by going back over what pushed the arguments, and resolved against the frame as it stands. Only
plain look-ups are done: module and instance dictionaries, class attributes; a property or `__getattr__` ends it.

Invariants. No user code runs. Anything that is not a straight chain is unknown, and unknown is "no".

Context: tick handler, rarely: only for a step that seems to be blocked.
"""

from __future__ import annotations

import dis
import inspect
from types import CodeType, FrameType
from typing import Any, Final

from preemptio._preempt._opcodes import CALLS, WITHS

MEMORY: Final = 1024
"""Places remembered."""

Chain = tuple[str, tuple[str, ...]]
"""How a callable was loaded: the variable's name, and the attributes taken from it in turn."""

_NOTHING: Final = object()
_chains: Final[dict[tuple[CodeType, int], Chain | None]] = {}
_SKIP: Final = frozenset({"CACHE", "KW_NAMES", "NOP", "EXTENDED_ARG"})
_ATTRIBUTE: Final = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_VARIABLE: Final = ("LOAD_FAST", "LOAD_GLOBAL", "LOAD_DEREF", "LOAD_NAME")


def callee(frame: FrameType) -> tuple[object, str] | None:
    """Return the owner and the name of what the frame calls at its instruction; None if that cannot be told.

    The owner is a module, or the object whose method it is. For `with x:` it is x and `__enter__`.
    """
    key = frame.f_code, frame.f_lasti
    if key not in _chains:
        if len(_chains) >= MEMORY:
            _chains.clear()
        _chains[key] = _find(*key)
    chain = _chains[key]
    if chain is None:
        return None
    name, attributes = chain
    owner = _variable(frame, name)
    for attribute in attributes[:-1]:
        owner = _attribute(owner, attribute)
    return None if owner is _NOTHING or not attributes else (owner, attributes[-1])


def _find(code: CodeType, lasti: int) -> Chain | None:
    """Go back from the call over its arguments to what loaded the callable."""
    before = [one for one in dis.get_instructions(code) if one.offset <= lasti and one.opname not in _SKIP]
    if not before or before[-1].offset != lasti:
        return None
    call = before.pop()
    if call.opcode in WITHS:
        chain = _chain(before)
        return None if chain is None else (chain[0], (*chain[1], "__enter__"))
    if call.opcode not in CALLS:
        return None
    if before and before[-1].opname == "PRECALL":  # 3.11: the call is two instructions
        before.pop()
    arguments = (call.arg or 0) + call.opname.endswith("_KW")
    while arguments > 0 and before:
        one = before.pop()
        if one.opcode in dis.hasjrel or one.opcode in dis.hasjabs:
            return None
        arguments -= dis.stack_effect(one.opcode, one.arg if one.opcode >= dis.HAVE_ARGUMENT else None, jump=False)
    return _chain(before) if arguments == 0 else None


def _chain(before: list[dis.Instruction]) -> Chain | None:
    """Read a variable and its attributes backward."""
    attributes: list[str] = []
    if before and before[-1].opname == "PUSH_NULL":
        before.pop()
    while before and before[-1].opname in _ATTRIBUTE:
        attributes.append(str(before.pop().argval))
    if not before or not before[-1].opname.startswith(_VARIABLE) or not isinstance(before[-1].argval, str):
        return None
    return before[-1].argval, tuple(reversed(attributes))


def _variable(frame: FrameType, name: str) -> object:
    for names in (frame.f_locals, frame.f_globals, frame.f_builtins):
        if name in names:
            return names[name]
    return _NOTHING


def _attribute(owner: object, name: str) -> object:
    """Look an attribute up without running code."""
    if owner is _NOTHING:
        return _NOTHING
    found: Any = inspect.getattr_static(owner, name, _NOTHING)
    kind = type(found)
    if inspect.ismemberdescriptor(found):  # a slot
        try:
            return found.__get__(owner)
        except AttributeError:
            return _NOTHING
    return _NOTHING if hasattr(kind, "__get__") and not inspect.isbuiltin(found) else found
