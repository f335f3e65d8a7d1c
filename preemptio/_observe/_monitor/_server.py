"""aiomonitor's Monitor, made safe to start, to look with, and to end.

Problem. aiomonitor 0.7 hangs for ever in `start()` if a port is taken; takes the loop's task factory for its own, or
puts back an old one; makes its own loop by the program's policy, which may be a loop of ours; and its `close()` waits
without end.

What we do. A subclass that keeps the interface - the commands and pages get this object - and replaces what runs.
Sockets are bound in the thread that calls, so a port that is taken is an exception there. The loop of the user
interface is asyncio's own, in a daemon thread. The monitored loop's task factory is never touched.

The end. `close` may be called before the loop is closed or after, more than once, in any thread; at the interpreter's
exit it is called if nobody did. A forked child has no such thread: it closes its copies of the sockets, so that the
parent's clients see the parent's end, and forgets the rest.

Invariant. Whatever becomes of the thread, `start` and `close` return.

Context: as each method says.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import secrets
import socket
import threading
from typing import Any, Final
from weakref import WeakSet

from aiohttp import web

from preemptio._observe._monitor import _commands as _commands, _telnet
from preemptio._observe._monitor._aiomonitor import Monitor, pages, task_by_id
from preemptio._observe._monitor._ask import Unable, in_loop
from preemptio._observe._monitor._control import Control
from preemptio._observe._web._app import add_pages

JOIN: Final = 5.0
"""Seconds that `close` gives the thread to end."""

LIVING: Final[WeakSet[Served]] = WeakSet()


class Served(Monitor):  # type: ignore[misc]  # ships no type information
    """The monitor of one loop, as aiomonitor's commands and pages know it."""

    _closed: bool

    def __init__(self, loop: Any, consoles: socket.socket, pages: socket.socket, **options: Any) -> None:
        """Take bound sockets, and what aiomonitor takes."""
        super().__init__(
            loop,
            host=consoles.getsockname()[0],
            termui_port=consoles.getsockname()[1],
            webui_port=pages.getsockname()[1],
            **options,
        )
        self.control = Control(loop)
        self.commands: set[asyncio.Task[None]] = set()
        self.clients: WeakSet[socket.socket] = WeakSet()
        self.token = secrets.token_urlsafe(24)
        self.failed: BaseException | None = None
        self._listeners = (consoles, pages)
        self._runner: web.AppRunner | None = None
        self._ui_thread = threading.Thread(target=self._ui_main, name="preemptio-monitor", daemon=True)
        self._closing = threading.Lock()

    @property
    def _event_loop_thread_id(self) -> int:
        """Where the loop runs: aiomonitor's command `stacktrace` asks."""
        return self._monitored_loop._thread  # type: ignore[no-any-return]

    # -- the caller's thread --

    def start(self) -> None:
        """Start the thread, and wait until it answers. Any thread.

        Raises:
            RuntimeError: it failed.
        """
        self._started = True
        LIVING.add(self)
        atexit.register(self.close)
        self._ui_thread.start()
        self._ui_started.wait()
        if self.failed is not None:
            self.close()
            raise RuntimeError(f"the monitor could not start: {self.failed!r}") from self.failed

    def close(self) -> None:
        """End it, and let go what its commands hold. Any thread."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        atexit.unregister(self.close)
        LIVING.discard(self)
        self.control.close()
        with contextlib.suppress(RuntimeError, AttributeError):  # its loop is closed, or was never made
            self._ui_loop.call_soon_threadsafe(self._ui_forever_future.cancel)
        if self._ui_thread is not threading.current_thread():
            self._ui_thread.join(JOIN)
        for each in self._listeners:
            each.close()

    def forked(self) -> None:
        """Forget it, in a forked child."""
        self._closed = True
        self._closing = threading.Lock()
        atexit.unregister(self.close)
        for each in (*self._listeners, *list(self.clients)):
            with contextlib.suppress(OSError):
                each.close()
        server = None if self._runner is None else self._runner.server
        for connection in [] if server is None else list(server.connections):
            with contextlib.suppress(Exception):
                transport: Any = connection.transport
                os.close(transport.get_extra_info("socket")._sock.detach())

    # -- its own thread --

    def _ui_main(self) -> None:
        try:
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(self._ui_main_async())
        except BaseException as exc:
            self.failed = exc
        finally:
            self._ui_started.set()

    async def _ui_main_async(self) -> None:
        loop = asyncio.get_running_loop()
        forever = loop.create_future()
        app = await pages(self)
        add_pages(app, self.control, self.token, self._host)
        runner = self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        consoles, sites = self._listeners
        site = web.SockSite(runner, sites)
        await site.start()
        door = loop.create_task(_telnet.serve(self, consoles))
        self._ui_loop, self._ui_forever_future = loop, forever
        self._ui_started.set()
        try:
            await forever
        except asyncio.CancelledError:
            pass
        finally:
            tasks = [door, *self.commands, *self._termui_tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await runner.cleanup()

    async def cancel_monitored_task(self, task_id: str | int) -> str:
        """Cancel a task, for aiomonitor's command and page, which wait for it to end, with no limit.

        Raises:
            ValueError: there is none, or the loop does not turn.
        """
        task = task_by_id(int(task_id), self._monitored_loop)
        if task is None:
            raise ValueError(f"no task has the ID {task_id}; type: ps")
        try:
            await in_loop(self._monitored_loop, task.cancel)
        except Unable as why:
            raise ValueError(str(why)) from None
        return str(task.get_name())


def _forked() -> None:
    for each in list(LIVING):
        each.forked()
    LIVING.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
