"""Which interpreters can run preemptio: the only file that asks for version and build.

Free-threaded builds: a task's C step holds a critical section on the task across the greenlet switch, and a list
being sorted holds one across its callbacks; refused until that is proven. Sub-interpreters: signals arrive only in
the main one, and greenlet is initialised once per process. PyPy and others: the safe points are CPython's bytecode.
threading as gevent patches it: a thread-local is another in each carrier, a worker thread is none, and a lock switches
to gevent's hub in the middle of a step.
"""

from __future__ import annotations

import sys
from typing import Final

from preemptio._errors import UnsupportedError

OLDEST: Final = (3, 11)

RELEASE: Final = sys.version_info[:2]
"""For those who must know the layout of the interpreter's own structures."""


def unsupported() -> str | None:
    """Say why this interpreter cannot run preemptio, or None."""
    if sys.implementation.name != "cpython":
        return (
            f"preemptio runs on CPython, and this is {sys.implementation.name}: its safe points are CPython's bytecode"
        )
    if sys.version_info < OLDEST:
        return f"preemptio needs CPython 3.11 or newer, and this is {sys.version.split()[0]}"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "preemptio needs the GIL, and this is a free-threaded build: run it with PYTHON_GIL=1 or -X gil=1"
    if _in_subinterpreter():
        return "preemptio runs in the main interpreter only, and this is a sub-interpreter: signals do not arrive here"
    if _without_threads():
        return (
            "preemptio needs the real threading module, and gevent.monkey has patched it: thread-locals and locks are "
            "greenlets' then. Run this loop in a process without patch_all(), or use asyncio.run in this one"
        )
    return None


def _in_subinterpreter() -> bool:
    for name in ("_interpreters", "_xxsubinterpreters"):
        module = sys.modules.get(name)
        if module is None:
            continue
        current, main = module.get_current(), module.get_main()
        return bool(current != main)
    return False


def _without_threads() -> bool:
    """Report whether gevent has put greenlets in the place of threads; it is not imported for that."""
    patched = getattr(sys.modules.get("gevent.monkey"), "is_module_patched", None)
    return patched is not None and bool(patched("threading"))


def check_interpreter() -> None:
    """Raise UnsupportedError where preemptio cannot run."""
    why = unsupported()
    if why is not None:
        raise UnsupportedError(why)
