"""What can be asked of any object without running code of the program's: its class, by identity, and what C keeps.

Problem. `isinstance` asks the object for `__class__`, a set of classes has them hashed, `in` compares them, and an
attribute of a class goes by its metaclass: each of those may be a method of the program's, which may raise, take long,
lie, or change the heap that is being walked.

What we do. `type(thing)` is the class. Whatever else is asked of it is read by the descriptors of `type` itself, and
classes are compared by identity. An attribute is read if a descriptor of C stands for it, or from the dictionary.

Context: any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final

mro_of: Final[Callable[[type], tuple[type, ...]]] = type.__dict__["__mro__"].__get__
flags_of: Final[Callable[[type], int]] = type.__dict__["__flags__"].__get__
names_of: Final[Callable[[type], Mapping[str, Any]]] = type.__dict__["__dict__"].__get__
qualname_of: Final[Callable[[type], str]] = type.__dict__["__qualname__"].__get__
module_of: Final[Callable[[type], object]] = type.__dict__["__module__"].__get__


def is_a(thing: object, base: type | tuple[type, ...]) -> bool:
    """Report what `isinstance` does for the true class of an object; `base` has no metaclass."""
    return issubclass(type(thing), base)


def ids(*classes: type) -> frozenset[int]:
    """Return a set of classes that others can be looked up in, by `id(cls) in`; they must live for ever."""
    return frozenset(map(id, classes))


def attribute(thing: object, name: str) -> Any:
    """Return an attribute that the object's C code, or a slot, provides; None if there is none, or Python code does."""
    for base in mro_of(type(thing)):
        found = names_of(base).get(name)
        if found is None:
            continue
        if type(found) is GetSetDescriptorType or type(found) is MemberDescriptorType:
            try:
                return found.__get__(thing)
            except Exception:  # an empty slot; a future that was never initialised
                return None
        return None
    return None


def attributes(thing: object) -> dict[str, Any]:
    """Return an object's dictionary of attributes; an empty one if it has none."""
    for base in mro_of(type(thing)):
        found = names_of(base).get("__dict__")
        if type(found) is GetSetDescriptorType or type(found) is MemberDescriptorType:
            got = found.__get__(thing)
            return got if type(got) is dict else {}
    return {}
