"""Other people's trace functions: when to stand aside.

Problem. A debugger's trace function is Python code that runs inside the interpreter's tracing state. Switching there
leaves that state behind for every other greenlet: none of them is traced, profiled or measured until the first one
comes back. And a program that is stepped through and keeps being time-sliced is of no use to anyone who debugs it.

What we do. Two questions. Does a debugger trace? Then nothing is stopped, wherever it is: steps stay in their task. A
tracer that is written in C (coverage.py's) has no frames of its own to be interrupted in: only seeking, which would
have to take its place, is off then. And does the interrupted code belong to a callback of any tracer, profiler or tool
of sys.monitoring, which are called in C as a rule, but call Python now and then (coverage.py: for each new file)? Then
the tick comes back later. By its name or its caller such a frame is not told from what the user called, so the
interpreter is asked (`Claims.in_a_tracer`).

debugpy traces from `listen()` on, in C, and after its client is gone: so debugpy is asked whether it has a client.

Context: tick handler.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType, FunctionType, MethodType
from typing import Any

_monitoring = getattr(sys, "monitoring", None)  # 3.12+


class OwnTracer:
    """Base of the runtime's own tracers, which are told apart from other people's by it."""

    __slots__ = ()


def tracer_installed() -> bool:
    """Report whether `sys.settrace` is somebody's."""
    return sys.gettrace() is not None


def install(tracer: Callable[..., Any]) -> bool:
    """Set the trace function; False if a tick has come in the middle of somebody's doing so, which 3.11 refuses.

    It comes there in an audit hook, such as our own for exec.
    """
    try:
        sys.settrace(tracer)
    except RuntimeError:
        return False
    return True


def uninstall(tracer: Callable[..., Any]) -> None:
    """Remove the trace function if it is this one."""
    if sys.gettrace() == tracer:
        sys.settrace(None)


def debugger_present() -> bool:
    """Report whether a trace function written in Python, debugpy's, or a sys.monitoring debugger is active."""
    tracer = sys.gettrace()
    if tracer is not None:
        if _by_pydevd(tracer):
            return _has_client()
        if isinstance(tracer, FunctionType):
            return True
        if isinstance(tracer, MethodType) and not isinstance(tracer.__self__, OwnTracer):
            return True
    if _monitoring is None:
        return False
    tool = _monitoring.get_tool(_monitoring.DEBUGGER_ID)
    return tool is not None and (tool != "pydevd" or _has_client())


def _by_pydevd(tracer: object) -> bool:
    """Report whether debugpy's engine made it: compiled by Cython, or in Python."""
    maker = tracer if isinstance(tracer, (FunctionType, MethodType)) else type(tracer)
    return str(maker.__module__).startswith("_pydevd")


def _has_client() -> bool:
    """Report whether somebody is connected to debugpy; True if pydevd is here without it."""
    debugpy = sys.modules.get("debugpy.server.api")
    return debugpy is None or bool(debugpy.is_client_connected())


def traced_frame(frame: FrameType) -> FrameType:
    """Return the frame that a debugger has stopped, if `frame` is above the debugger's own: at its prompt."""
    tracer = sys.gettrace()
    code = getattr(getattr(tracer, "__func__", tracer), "__code__", None)
    at: FrameType | None = frame
    while at is not None and at.f_code is not code:
        at = at.f_back
    return frame if at is None or at.f_back is None else at.f_back
