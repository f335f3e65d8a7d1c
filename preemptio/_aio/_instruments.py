"""Adding and removing instruments: which loop, and whether what was given is one.

Context: the loop's thread, or any while the loop does not run.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from preemptio._aio._runtime import RuntimeLoop
from preemptio._core._instruments import Instrument
from preemptio._errors import NotInstalledError

if TYPE_CHECKING:
    from preemptio._core._instruments import Instruments


def add_instrument(instrument: Instrument, loop: asyncio.AbstractEventLoop | None = None) -> None:
    """Have an instrument told what the scheduler of a loop does, from now on.

    Args:
        instrument: an object of a subclass of `Instrument`; one that is there already is not added twice.
        loop: by default the loop that runs in this thread.

    Raises:
        TypeError: it is no Instrument, or the class instead of an object.
        ValueError: its `every` is not a power of two.
        NotInstalledError: no loop runs in this thread, or the loop has no runtime.
        RuntimeError: the loop runs in another thread.

    Context: the loop's thread, or any while the loop does not run. From another thread:
        `loop.call_soon_threadsafe(add_instrument, instrument, loop)`.

    Source: Trio's add_instrument.

    Example:
        >>> import asyncio, preemptio
        >>> from preemptio import runtime
        >>> class Watch(runtime.Instrument):
        ...     def created(self, g):
        ...         print("created", g.task.get_coro().__name__)
        >>> async def main():
        ...     watch = Watch()
        ...     runtime.add_instrument(watch)
        ...     await asyncio.create_task(asyncio.sleep(0))
        ...     runtime.remove_instrument(watch)
        >>> preemptio.run(main())
        created sleep
    """
    if not isinstance(instrument, Instrument):
        hint = "; add an object of it: add_instrument(" + f"{getattr(instrument, '__name__', '')}())"
        msg = f"{instrument!r} is not an Instrument{hint if isinstance(instrument, type) else ''}"
        raise TypeError(msg)
    every: object = instrument.every
    if type(every) is not int or every < 1 or every & (every - 1):
        msg = f"{type(instrument).__name__}.every is {every!r}, not a power of two; type, for example: every = 64"
        raise ValueError(msg)
    table = table_of(loop, "runtime.add_instrument", "instrument, loop")
    if instrument not in table:
        table.add(instrument)


def remove_instrument(instrument: Instrument, loop: asyncio.AbstractEventLoop | None = None) -> bool:
    """Have an instrument told no more; report whether it was there: one that raised was removed already.

    Args:
        instrument: what was added.
        loop: by default the loop that runs in this thread.

    Raises:
        NotInstalledError, RuntimeError: as `add_instrument`.

    Context: as `add_instrument`.

    Example:
        >>> import preemptio
        >>> from preemptio import runtime
        >>> async def main():
        ...     watch = runtime.Instrument()
        ...     runtime.add_instrument(watch)
        ...     print(runtime.remove_instrument(watch), runtime.remove_instrument(watch))
        >>> preemptio.run(main())
        True False
    """
    return table_of(loop, "runtime.remove_instrument", "instrument, loop").remove(instrument)


def table_of(loop: asyncio.AbstractEventLoop | None, what: str, arguments: str) -> Instruments:
    """Return the table of a loop whose thread this is, for the function of that public name.

    Raises:
        NotInstalledError, RuntimeError: as `add_instrument`.
    """
    found: Any = loop if loop is not None else asyncio._get_running_loop()
    if not isinstance(found, RuntimeLoop):
        msg = f"{what}() needs a loop of preemptio: call it in a program started by preemptio.run(main())"
        raise NotInstalledError(msg)
    if found._running_since is not None and found._thread != threading.get_ident():
        call = f"functools.partial({what}, {arguments})" if "=" in arguments else f"{what}, {arguments}"
        msg = f"the loop runs in another thread; type: loop.call_soon_threadsafe({call})"
        raise RuntimeError(msg)
    return found._p.instruments
