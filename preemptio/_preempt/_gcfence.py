"""The GC fence: no switch while the cyclic garbage collector runs below the frame.

Problem. The collector keeps the heads of its lists on the C stack, and every object it looks at points into them.
A finalizer that it calls is Python code, so a tick can arrive there; switching moves that C stack away, and the
next object that is freed writes into whatever took its place. The interpreter crashes (3.11 and 3.12, proven).

What we do. Two independent fences. `gc.callbacks` says when a collection starts and ends. And a frame named
`__del__` anywhere in the step is refused (`_safepoint`), whoever called it. The callback can be lost - somebody may
clear the list - so `closed` looks for it and puts it back before it believes the flag.

Context: the callback runs inside the collector; `closed` in the tick handler. One per process.
"""

from __future__ import annotations

import gc
from typing import Any, Final

from preemptio._core._current import current_processor


class GCFence:
    """Knows whether a collection is going on."""

    def __init__(self) -> None:
        """Start open: not installed."""
        self._collecting = False
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
            self._collecting = False

    def closed(self, *, peek: bool = False) -> bool:
        """Report whether a switch would be inside a collection; also true once when the fence had been torn down.

        `peek` leaves it torn down: the tick that finds it so must be told.
        """
        callbacks = self._callbacks
        if (callbacks and callbacks[0] is self._callback) or self._callback in callbacks:
            return self._collecting
        if not peek:
            self._collecting = False
            callbacks.insert(0, self._callback)
        return True

    def _on_gc(self, phase: str, info: dict[str, Any]) -> None:
        self._collecting = phase == "start"
        p = current_processor()
        if p is not None and (p.instruments.gc_began or p.instruments.gc_ended):
            hooks = p.instruments.gc_began if phase == "start" else p.instruments.gc_ended
            p.instruments.tell(hooks, info["generation"])


FENCE: Final = GCFence()
