"""A root: an object that something which may still run refers to, and how a reader would call that reference."""

from __future__ import annotations

from typing import NamedTuple


class Root(NamedTuple):
    """One reference from a G, or from what all Gs share, to an object."""

    obj: object
    """The object."""

    name: str
    """What refers to it: a variable and where its frame stands, `awaits`, `context variable NAME`, and so on."""

    precise: bool = True
    """Whether this reference is there, and no other of its kind. If not, it was inferred, or others cannot be seen."""
