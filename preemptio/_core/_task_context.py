"""The context in which a task runs: what is said about the task, and what a scan finds, belong to it.

CPython 3.12 can be asked for it. On 3.11 it is the first context that the task refers to: the others, of its done
callbacks, are visited behind it (`TaskObj_traverse` in _asynciomodule.c).

Context: any thread.
"""

from __future__ import annotations

import gc
from contextvars import Context
from types import MethodDescriptorType
from typing import Any


def context_of(task: Any) -> Context | None:
    """Return the context in which a task runs. Its own `get_context` would tell the loop that somebody has it."""
    for base in type.__dict__["__mro__"].__get__(type(task)):
        found = type.__dict__["__dict__"].__get__(base).get("get_context")
        if type(found) is MethodDescriptorType:  # 3.12: that of the C task
            context = found(task)
            return context if type(context) is Context else None
    return next((each for each in gc.get_referents(task) if type(each) is Context), None)
