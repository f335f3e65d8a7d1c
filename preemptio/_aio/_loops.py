"""Which adapter a loop class gets, and the classes made from them. `new_event_loop`, `install`.

Context: anywhere; a loop is made in the thread that will run it.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from asyncio import base_events
from typing import Any

from preemptio._aio._at_exit import halt_others
from preemptio._aio._hop import HopLoop
from preemptio._aio._run_ahead import RunAheadLoop
from preemptio._aio._runtime import RuntimeLoop
from preemptio._aio._turn import TurnLoop
from preemptio._compat import check_interpreter
from preemptio._config import KNOBS, config
from preemptio._errors import UnsupportedError

Loop = asyncio.AbstractEventLoop

atexit.register(halt_others)


def uvloop_class() -> type[Loop] | None:
    """Return uvloop.Loop where uvloop is importable. The only place that imports it."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop


def adapter_for(base: type[Loop]) -> type[RuntimeLoop]:
    """Choose by what the class is: asyncio's own turn, uvloop's queue, or nothing known."""
    if getattr(base, "_run_once", None) is base_events.BaseEventLoop._run_once:  # type: ignore[attr-defined]
        return TurnLoop
    uvloop = uvloop_class()
    if uvloop is not None and issubclass(base, uvloop):
        return RunAheadLoop
    return HopLoop


_classes: dict[type[Loop], type[Any]] = {}


def loop_class(base: type[Loop]) -> type[Any]:
    """Make (once) the class of loops with the runtime on `base`."""
    made = _classes.get(base)
    if made is not None:
        return made
    adapter = adapter_for(base)
    made = _classes[base] = type(
        f"Preemptio{base.__name__.lstrip('_')}", (adapter, base), {"__module__": __name__, "_base": base}
    )
    return made


def check_knobs() -> None:
    """Read every knob, so that a bad value is an error before a loop is half made."""
    for knob in KNOBS:
        getattr(config, knob.name)


def default_base() -> type[Loop]:
    """Return uvloop's loop class where there is one, else asyncio's for this platform."""
    return uvloop_class() or asyncio_base()


def asyncio_base() -> type[Loop]:
    """Return asyncio's loop class for this platform."""
    proactor: type[Loop] | None = getattr(asyncio, "ProactorEventLoop", None)
    return proactor or asyncio.SelectorEventLoop


def new_event_loop(base: type[Loop] | None = None) -> Loop:
    """Make an event loop every task of which is a G, time-sliced by preemptio.

    Args:
        base: the loop class to build on; None takes uvloop.Loop where uvloop is installed, else asyncio's.

    Returns:
        An event loop, an instance of a subclass of `base`. Fit for `asyncio.Runner(loop_factory=...)`,
        `uvicorn --loop preemptio:new_event_loop`, `anyio.run(..., backend_options={"loop_factory": ...})`.

    Raises:
        TypeError: `base` is not an event loop class.
        UnsupportedError: this interpreter cannot run preemptio (free-threaded, a sub-interpreter, not CPython).
        ConfigError: a PREEMPTIO_ variable has a bad value.

    Example:
        >>> import asyncio, preemptio
        >>> async def main():
        ...     return type(asyncio.current_task()).__name__
        >>> with asyncio.Runner(loop_factory=preemptio.new_event_loop) as runner:
        ...     runner.run(main())
        'Task'
    """
    check_interpreter()
    check_knobs()
    if base is None:
        base = default_base()
    if not callable(getattr(base, "call_soon", None)) or not isinstance(base, type):
        msg = f"new_event_loop(base=...) takes an event loop class such as asyncio.SelectorEventLoop, not {base!r}"
        raise TypeError(msg)
    if issubclass(base, RuntimeLoop):
        return base()
    return loop_class(base)()  # type: ignore[no-any-return]


def install(loop: Loop) -> Loop:
    """Put the runtime on a loop that exists already: one that does not run, or asyncio's own while it runs.

    Tasks that exist are Gs from their next step on. There is no way back.

    Args:
        loop: the loop; call this in its thread.

    Returns:
        The same loop.

    Raises:
        TypeError: `loop` is not an event loop.
        UnsupportedError: it is closed, runs in another thread, is a running loop that is not asyncio's own, or its
            class cannot be exchanged. Make the loop with `preemptio.new_event_loop(base=...)` instead.
    """
    check_interpreter()
    check_knobs()
    if isinstance(loop, RuntimeLoop):
        return loop
    if not isinstance(loop, asyncio.AbstractEventLoop):
        msg = f"install() takes an event loop, such as asyncio.get_running_loop(), not {loop!r}"
        raise TypeError(msg)
    base = type(loop)
    adapter = adapter_for(base)
    advice = f"Make it with preemptio.new_event_loop(base={base.__name__}) instead."
    if loop.is_closed():
        msg = f"install(): {loop!r} is closed. {advice}"
        raise UnsupportedError(msg)
    running = loop.is_running()
    if running and adapter is not TurnLoop:
        msg = f"install(): a running {base.__name__} cannot take the runtime. {advice}"
        raise UnsupportedError(msg)
    if running and getattr(loop, "_thread_id", None) != threading.get_ident():
        msg = "install(): the loop runs in another thread; call it there: loop.call_soon_threadsafe(install, loop)"
        raise UnsupportedError(msg)
    try:
        loop.__class__ = loop_class(base)
    except TypeError as exc:
        msg = f"install(): the class of {loop!r} cannot be exchanged ({exc}). {advice}"
        raise UnsupportedError(msg) from exc
    loop._init_runtime()  # type: ignore[attr-defined]  # now a RuntimeLoop
    return loop
