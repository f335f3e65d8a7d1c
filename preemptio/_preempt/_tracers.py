"""Other people's trace functions: when to stand aside.

A debugger's trace function is Python code that runs inside the interpreter's tracing state. Switching there leaves
that state behind for every other greenlet, and a paused program that keeps being time-sliced is no use to anyone
who debugs it. A tracer written in C (coverage.py's) has no frames of its own to be interrupted in: only seeking,
which would have to take its place, is off then.

Context: tick handler.
"""

from __future__ import annotations

import sys
from types import FrameType, FunctionType, MethodType

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


def traced_frame(frame: FrameType) -> FrameType:
    """Return the frame that a debugger has stopped, if `frame` is above the debugger's own: at its prompt."""
    tracer = sys.gettrace()
    code = getattr(getattr(tracer, "__func__", tracer), "__code__", None)
    at: FrameType | None = frame
    while at is not None and at.f_code is not code:
        at = at.f_back
    return frame if at is None or at.f_back is None else at.f_back
