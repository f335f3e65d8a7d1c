"""Other people's trace functions: when to stand aside.

A debugger's trace function is Python code that runs inside the interpreter's tracing state. Switching there leaves
that state behind for every other greenlet, and a paused program that keeps being time-sliced is no use to anyone
who debugs it. A tracer written in C (coverage.py's) has no frames of its own to be interrupted in: only seeking,
which would have to take its place, is off then.

Context: tick handler.
"""

from __future__ import annotations

import sys
from types import FunctionType, MethodType

_monitoring = getattr(sys, "monitoring", None)  # 3.12+


class OwnTracer:
    """Base of the runtime's own tracers, which are told apart from other people's by it."""

    __slots__ = ()


def tracer_installed() -> bool:
    """Report whether `sys.settrace` is somebody's."""
    return sys.gettrace() is not None


def debugger_present() -> bool:
    """Report whether a trace function written in Python, or a sys.monitoring debugger, is active."""
    tracer = sys.gettrace()
    if isinstance(tracer, FunctionType):
        return True
    if isinstance(tracer, MethodType) and not isinstance(tracer.__self__, OwnTracer):
        return True
    return _monitoring is not None and _monitoring.get_tool(_monitoring.DEBUGGER_ID) is not None
