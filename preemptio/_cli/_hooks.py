"""Where an unmodified program gets its event loops from, and how each place is made to give it ours.

- `asyncio.run(main())`, `asyncio.Runner()`, `asyncio.new_event_loop()`, `asyncio.get_event_loop()`: without a
  loop_factory all of them ask the event loop policy, and asyncio's policy asks its class's `_loop_factory`. It is
  exchanged on the class and not by a policy of ours: the program may set another policy, or reset it to asyncio's, and
  `asyncio.DefaultEventLoopPolicy` stays what it was for those who inherit from it.
- `asyncio.run(..., loop_factory=asyncio.EventLoop)`, or `asyncio.SelectorEventLoop`, as uvicorn does; a class that
  inherits from one of them: nobody is asked, the class is called. So the names lead to a subclass that has the runtime.
- `uvloop.run()`, `uvloop.new_event_loop()`, `uvloop.EventLoopPolicy`, `uvloop.Loop`: all end in the one name
  `uvloop.Loop` in uvloop's module. `uvloop.run` also insists on an instance of it, and a subclass passes.

What does not work. `asyncio.set_event_loop_policy(ours)`: see above. Wrapping `asyncio.run`: its callers have many
names, and `from asyncio import run` had the old one. Functions in place of the classes: `isinstance` would fail.

A program that names a base keeps it; otherwise `base` decides. Loops that exist already are left alone.

Context: once, before the program's first line, in the main thread.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import events
from typing import Any

from preemptio._aio._loops import Loop, default_base, loop_class, new_event_loop, uvloop_class
from preemptio._aio._runtime import RuntimeLoop

NAMES = ("SelectorEventLoop", "ProactorEventLoop", "EventLoop")
"""asyncio's public loop classes; EventLoop came with 3.13."""


def hook_loops(base: type[Loop] | None) -> None:
    """Make every loop that this process creates from now on a preemptio loop, on `base` where none is named."""
    base = base or default_base()

    def make() -> Loop:
        return new_event_loop(base)

    for policy in _asyncio_policies():
        policy._loop_factory = staticmethod(make)
    for name in NAMES:
        _exchange(asyncio, name)
    uvloop = uvloop_class()
    if uvloop is not None:
        _exchange(sys.modules[uvloop.__module__], "Loop")


def _asyncio_policies() -> list[Any]:
    """Return asyncio's policy classes for this platform; the base class got an underscore in 3.14, and is to go."""
    bases = [getattr(events, name, None) for name in ("_BaseDefaultEventLoopPolicy", "BaseDefaultEventLoopPolicy")]
    policies: list[Any] = [policy for base in bases if base for policy in base.__subclasses__()]
    return [policy for policy in policies if policy.__module__.startswith("asyncio.")]


def _exchange(module: Any, name: str) -> None:
    """Let a public name of a loop class lead to its subclass with the runtime, wherever the package spells it."""
    cls = getattr(module, name, None)
    if cls is None or issubclass(cls, RuntimeLoop):
        return
    ours = loop_class(cls)
    for place in (module, sys.modules[cls.__module__]):
        if getattr(place, name, None) is cls:
            setattr(place, name, ours)
