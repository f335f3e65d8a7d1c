"""The GC fence: no switch while the cyclic garbage collector runs below the frame.

Problem. The collector keeps the heads of its lists on the C stack, and every object it looks at points into them.
A finalizer that it calls is Python code, so a tick can arrive there; switching moves that C stack away, and the
next object that is freed writes into whatever took its place. The interpreter crashes (3.11 and 3.12, proven).

What we do. Two independent fences. `gc.callbacks` says when a collection starts and ends. And a frame named
`__del__` anywhere in the step is refused (`_safepoint`), whoever called it. The callback can be lost - somebody may
clear the list - so `closed` looks for it and puts it back before it believes the flag.

A collection at the recursion limit is not noted: neither the callback can be called there nor any other Python code.

The flag is the thread that collects. In a collection any thread may be given the GIL, by this callback's own code to
begin with; the lists are on the C stack of one, and the others may do as they like.

Context: the callback runs inside the collector, in any thread; `closed` in the tick handler, and in a step that is
about to leave its carrier. One per process.
"""

from __future__ import annotations

import gc
from threading import get_ident
from typing import Any, Final

from preemptio._core._current import current_processor


class GCFence:
    """Knows whether a collection is going on, and in which thread."""

    def __init__(self) -> None:
        """Start open: not installed."""
        self._collecting = 0  # the thread's identity
        self._users = 0
        self._callbacks = gc.callbacks  # the collector's own list, whatever the module's attribute says later
        self._callback = self._on_gc

    def install(self) -> None:
        """Begin to watch; counted, so that every running processor may ask for it."""
        self._users += 1
        if self._callback not in self._callbacks:
            self._callbacks.insert(0, self._callback)

    def remove(self) -> None:
        """Stop watching when nobody needs it."""
        self._users -= 1
        if self._users <= 0 and self._callback in self._callbacks:
            self._callbacks.remove(self._callback)
            self._collecting = 0

    def closed(self, *, peek: bool = False) -> bool:
        """Report whether a switch would be inside a collection; also true once when the fence had been torn down.

        `peek` leaves it torn down: the tick that finds it so must be told. It is about whatever thread.
        """
        callbacks = self._callbacks
        if (callbacks and callbacks[0] is self._callback) or self._callback in callbacks:
            collecting = self._collecting
            return collecting != 0 and (peek or collecting == get_ident())
        if not peek:
            self._collecting = 0
            callbacks.insert(0, self._callback)
        return True

    def _on_gc(self, phase: str, info: dict[str, Any]) -> None:
        self._collecting = get_ident() if phase == "start" else 0
        try:
            p = current_processor()
            if p is not None and (p.instruments.gc_began or p.instruments.gc_ended):
                hooks = p.instruments.gc_began if phase == "start" else p.instruments.gc_ended
                p.instruments.tell(hooks, info["generation"])
        except RecursionError:
            return  # one frame above the limit there was room to note it, and is none to tell of it


FENCE: Final = GCFence()
