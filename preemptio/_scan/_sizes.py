"""How many bytes an object takes by itself, without what it refers to.

`sys.getsizeof` says so for what the interpreter and most C code make. Wrong it is where an object's memory is somewhere
else (a mapping, a tensor, an array of ctypes), where it counts an object to which the walk comes as well (the bytes of
an io.BytesIO from 3.13 on), or where `__sizeof__` is Python and does the same, as that of pandas. Those are in the
table; a user adds more with `register_size`.

A library in the table is looked up among the modules that are imported, never imported.

Invariant. No code of the program's is run but what was registered: a `__sizeof__` in Python is passed over, and the
attributes that an entry needs are read by the library's own descriptors, whatever a subclass defines.

Context: the scanner's G. What an entry's function raises is swallowed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from gc import get_referents
from io import BytesIO
from types import MethodDescriptorType
from typing import Any, Final

from preemptio._scan._classes import attributes, mro_of, names_of

Sizer = Callable[[Any], int]

_registered: Final[dict[int, tuple[type, Sizer]]] = {}
"""By identity of the class, as a metaclass may define `__hash__`."""

_plain: Final[Sizer] = object.__sizeof__


def _as_object(_library: type, _cls: type) -> Sizer:
    """What it refers to is all that it has."""
    return _plain


def _array(library: type, _cls: type) -> Sizer:
    """A view has no memory of its own, and no reference to its base that a walk could see: it counts in full."""
    own, base, nbytes = (names_of(library)[name] for name in ("__sizeof__", "base", "nbytes"))
    return lambda array: own(array) + (0 if base.__get__(array) is None else nbytes.__get__(array))


def _tensor(library: type, cls: type) -> Sizer:
    """The storage is an object of C++ that several tensors may share, as views do: it counts for each."""
    ours = mro_of(cls)[: next(index for index, base in enumerate(mro_of(cls)) if base is library)]
    if any(name in names_of(base) for base in ours for name in _REDEFINED):
        return _plain

    def size(tensor: Any) -> int:
        return _plain(tensor) + (0 if tensor.is_cuda else int(tensor.untyped_storage().nbytes()))

    return size


_REDEFINED: Final = ("__torch_function__", "__getattribute__", "__getattr__", "is_cuda", "untyped_storage")
"""What makes code of a subclass of torch's run."""


def _mapping(library: type, _cls: type) -> Sizer:
    length = names_of(library)["__len__"]

    def size(mapping: Any) -> int:
        try:
            return _plain(mapping) + int(length(mapping))
        except ValueError:  # closed
            return _plain(mapping)

    return size


_INLINE: Final = 16
"""Bytes that ctypes has room for inside of its object."""


def _foreign(library: type, _cls: type) -> Sizer:
    """What shows another's memory refers to that one, if it is an object, or it is no memory of Python's."""
    owns = next(names_of(base)["_b_needsfree_"] for base in mro_of(library) if "_b_needsfree_" in names_of(base))
    sizeof: Sizer = attributes(sys.modules["_ctypes"])["sizeof"]

    def size(thing: Any) -> int:
        own = sizeof(thing)
        return _plain(thing) + (own if own > _INLINE and owns.__get__(thing) else 0)

    return size


def _bytes_io(library: type, _cls: type) -> Sizer:
    """Its own `__sizeof__` counts the bytes if nobody else has them."""
    is_seen = any(type(each) is bytes for each in get_referents(BytesIO(bytes(8))))
    return _plain if is_seen else names_of(library)["__sizeof__"]


LIBRARIES: Final[tuple[tuple[str, str, Callable[[type, type], Sizer]], ...]] = (
    ("numpy", "ndarray", _array),
    ("torch", "Tensor", _tensor),
    ("pandas", "DataFrame", _as_object),
    ("pandas", "Series", _as_object),
    ("pandas", "Index", _as_object),
    ("mmap", "mmap", _mapping),
    ("_io", "BytesIO", _bytes_io),
    ("_ctypes", "Array", _foreign),
    ("_ctypes", "Structure", _foreign),
    ("_ctypes", "Union", _foreign),
)
"""Module, class, and how its objects are measured. What pandas refers to are numpy's arrays."""


def register_size(cls: type, size: Callable[[Any], int]) -> None:
    """Have the objects of a class, and of its subclasses, measured by `size` in scans.

    Args:
        cls: the class.
        size: takes an object; returns the bytes that it takes by itself, without what it refers to. It is called with
            every object that is met, so it must be fast; what it raises is ignored, and the object counts as empty.

    Raises:
        TypeError: `cls` is no class, or `size` cannot be called.

    Context: any.

    Example:
        >>> from preemptio import scan
        >>> class Image:
        ...     pixels = 1_000_000
        >>> scan.register_size(Image, lambda image: image.pixels * 4)
    """
    given: tuple[object, object] = cls, size
    if not isinstance(given[0], type) or not callable(given[1]):
        msg = f"register_size() takes a class and a function of one of its objects, not {cls!r} and {size!r}"
        raise TypeError(msg)
    _registered[id(cls)] = cls, size


def sizer_of(cls: type) -> Sizer:
    """Return what measures the objects of a class, for as long as no other is registered."""
    mro = mro_of(cls)
    for base in mro:
        if id(base) in _registered:
            return _guarded(_registered[id(base)][1])
    for module, name, sizer in LIBRARIES:
        library = attributes(sys.modules.get(module)).get(name)
        if library is not None and any(library is base for base in mro):
            return _guarded(sizer(library, cls))
    first = True
    for base in mro:
        own = names_of(base).get("__sizeof__")
        if type(own) is MethodDescriptorType:
            return _guarded(sys.getsizeof if first else own)
        first = first and own is None
    return _plain


def _guarded(sizer: Sizer) -> Sizer:
    def measure(thing: Any) -> int:
        try:
            return int(sizer(thing))
        except Exception:
            return 0

    return sys.getsizeof if sizer is sys.getsizeof else measure
