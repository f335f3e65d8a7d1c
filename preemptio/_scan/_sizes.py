"""How many bytes an object takes by itself, without what it refers to.

`sys.getsizeof` says so for what the interpreter and most C code make. Wrong it is where an object's memory is somewhere
else (a mapping, a tensor), or where `__sizeof__` is the user's own Python and counts what it refers to, as pandas does:
the walk comes to that by itself. Those have an entry in the table; a user adds more with `register_size`.

A library in the table is looked up among the modules that are imported, never imported.

Context: the scanner's G. An entry's function may be anybody's: what it raises is swallowed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from mmap import mmap
from types import FunctionType
from typing import Any, Final

Sizer = Callable[[Any], int]

_registered: Final[dict[type, Sizer]] = {}

_plain: Final[Sizer] = object.__sizeof__
_mro_of: Final[Callable[[type], tuple[type, ...]]] = type.__dict__["__mro__"].__get__
_names_of: Final[Callable[[type], Any]] = type.__dict__["__dict__"].__get__


def _array(array: Any) -> int:
    """A view has no memory of its own, and no reference to its base that a walk could see: it counts in full."""
    own = sys.getsizeof(array)
    return own if array.base is None else own + int(array.nbytes)


def _tensor(tensor: Any) -> int:
    return _plain(tensor) + (0 if tensor.is_cuda else int(tensor.untyped_storage().nbytes()))


def _mapping(mapping: Any) -> int:
    return _plain(mapping) + len(mapping)


LIBRARIES: Final[tuple[tuple[str, str, Sizer], ...]] = (
    ("numpy", "ndarray", _array),
    ("torch", "Tensor", _tensor),
    ("pandas", "DataFrame", _plain),
    ("pandas", "Series", _plain),
    ("pandas", "Index", _plain),
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
    _registered[cls] = size


def sizer_of(cls: type) -> Sizer:
    """Return what measures the objects of a class, for as long as no other is registered."""
    mro = _mro_of(cls)
    known = dict(_registered)
    for base in mro:
        if base in known:
            return _guarded(known[base])
    for module, name, sizer in LIBRARIES:
        known_as: Any = getattr(sys.modules.get(module), name, None)
        if known_as in mro:
            return _guarded(sizer)
    if mmap in mro:
        return _guarded(_mapping)
    for base in mro:
        own = _names_of(base).get("__sizeof__")
        if own is not None:
            return _plain if isinstance(own, FunctionType) else _guarded(sys.getsizeof)
    return _plain


def _guarded(sizer: Sizer) -> Sizer:
    def measure(thing: Any) -> int:
        try:
            return int(sizer(thing))
        except Exception:
            return 0

    return sys.getsizeof if sizer is sys.getsizeof else measure
