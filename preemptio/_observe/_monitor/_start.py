"""The monitor's door: what is asked for is checked here, before anything is started.

Context: any thread; `start` needs nothing of the loop but that it has the runtime.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import ipaddress
import socket
import sys
import threading
from typing import Any, Final, Self

from preemptio._aio._runtime import RuntimeLoop
from preemptio._errors import NotInstalledError, UnsupportedError
from preemptio._observe._metrics import disable_metrics, enable_metrics, metrics
from preemptio._observe._trace import _flight as flight

# Now, and not when it is needed: it takes half a second, for which the loop that is to be watched would stand still.
MISSING = ""
Served: Any = None
try:
    from preemptio._observe._monitor._server import Served
except ModuleNotFoundError as exc:
    if exc.name is None or exc.name.startswith("preemptio"):
        raise
    MISSING = exc.name

CONSOLE: Final = 20101
PAGE: Final = 20102
PYTHON: Final = 20103


class Monitor:
    """A console and web pages for one loop: what `start` returns. As a context manager it is closed at the end."""

    host: str
    """Where it listens."""
    port: int
    """Of the console: `preemptio attach HOST:PORT`."""
    page_port: int
    url: str
    """Of the page, with the token that is needed for changes."""

    def __init__(self, served: Any, undo: list[functools.partial[bool]]) -> None:
        """Take what was started, and what is to be undone at the end."""
        self._served = served
        self._undo = undo
        self.host = served.host
        self.port = served.port
        self.page_port = served._webui_port
        name = f"[{self.host}]" if ":" in self.host else self.host
        self.url = f"http://{name}:{self.page_port}/preemptio#token={served.token}"

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return bool(self._served.closed)

    def close(self) -> None:
        """End it: connections are closed, and what its commands hold goes on. Does nothing the second time.

        Context: any thread, before the loop is closed or after.
        """
        if self.closed:
            return
        self._served.close()
        loop = self._served._monitored_loop
        if not loop.is_closed():
            for undo in self._undo:
                _in_thread_of(loop, undo)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        """Show where it is, without the token."""
        where = "closed" if self.closed else f"console {self.host}:{self.port}, page {self.host}:{self.page_port}"
        return f"<Monitor {where}>"


def start(
    loop: asyncio.AbstractEventLoop | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = CONSOLE,
    page_port: int = PAGE,
    python: bool = False,
    python_port: int = PYTHON,
    namespace: dict[str, Any] | None = None,
    metrics: bool = True,
    record: float = 0.0,
    announce: bool = True,
) -> Monitor:
    """Start aiomonitor's console and web pages for a loop, with commands and a page for its Gs.

    They run in a thread of their own, and answer while the loop is busy. Whoever has a login on this machine can reach
    them. Changes by the page need the token in the URL; those by the console need none.

    Args:
        loop: by default the loop that runs in this thread.
        host: an address or name of this machine's loopback. From elsewhere come through ssh -L.
        port: of the console; 0 takes a free one.
        page_port: of the pages; 0 takes a free one.
        python: let the console's command `console` open a Python prompt in the loop. Whoever reaches the console can
            then run any code as this process's user.
        python_port: where aiomonitor serves that prompt to itself.
        namespace: variables for that prompt.
        metrics: measure what the page's histogram needs, as `runtime.enable_metrics` does, until the monitor is closed.
        record: seconds that are recorded for the page's timeline, as by `trace.start`, until the monitor is closed; 0
            records nothing until somebody asks for it.
        announce: write the two addresses to standard error.

    Returns:
        Monitor: where it is, and how it is closed. Use it in a `with`, or leave it: it keeps no process alive.

    Raises:
        UnsupportedError: aiomonitor is not installed.
        NotInstalledError: no loop runs in this thread, or the loop has no runtime.
        ValueError: a port is out of range, or the host is not loopback.
        OSError: a port is taken.

    Context: any thread, if the loop is given.

    Example:
        >>> import preemptio
        >>> from preemptio import monitor
        >>> async def main():
        ...     with monitor.start(port=0, page_port=0, announce=False) as started:
        ...         return started.host, started.port > 0
        >>> preemptio.run(main())
        ('127.0.0.1', True)
    """
    found = loop if loop is not None else asyncio._get_running_loop()
    if not isinstance(found, RuntimeLoop):
        msg = "monitor.start() needs a loop of preemptio: call it in a program started by preemptio.run(main())"
        raise NotInstalledError(msg)
    family = _loopback(host)
    if Served is None:
        msg = f"monitor.start() needs aiomonitor ({MISSING} is missing); type: pip install 'preemptio[monitor]'"
        raise UnsupportedError(msg)
    consoles = _bound(host, family, port, "port")
    try:
        pages = _bound(host, family, page_port, "page_port")
    except BaseException:
        consoles.close()
        raise
    options = {"console_enabled": python, "console_port": python_port, "locals": namespace}
    served = Served(found, consoles, pages, **options)
    served.start()
    started = Monitor(served, _watched(found, measure=metrics, record=record))
    if announce:
        console = f"preemptio attach {started.url.split('/')[2].rpartition(':')[0]}:{started.port}"
        sys.stderr.write(f"preemptio monitor: {console}\npreemptio monitor: {started.url}\n")
    return started


def _watched(loop: Any, *, measure: bool, record: float) -> list[functools.partial[bool]]:
    """Start what the page shows, and return how to stop what was started here."""
    undo = []
    if measure and not metrics(loop).enabled:
        _in_thread_of(loop, functools.partial(enable_metrics, loop))
        undo.append(functools.partial(disable_metrics, loop))
    if record and flight.flight_of(loop) is None:
        _in_thread_of(loop, functools.partial(flight.start, record, loop=loop))
        undo.append(functools.partial(flight.stop, loop))
    return undo


def _in_thread_of(loop: Any, call: functools.partial[Any]) -> None:
    if loop._running_since is None or loop._thread == threading.get_ident():
        call()
    else:
        loop.post(call)


def _loopback(host: str) -> socket.AddressFamily:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as why:
        raise ValueError(f"host {host!r} is unknown ({why}); type, for example: host='127.0.0.1'") from None
    for _, _, _, _, address in found:
        if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
            msg = f"host {host!r} is not loopback: the console has no password. From elsewhere type:"
            raise ValueError(f"{msg} ssh -L {CONSOLE}:127.0.0.1:{CONSOLE} -L {PAGE}:127.0.0.1:{PAGE} HOST")
    return found[0][0]


def _bound(host: str, family: socket.AddressFamily, port: int, what: str) -> socket.socket:
    if type(port) is not int or not 0 <= port < 65536:
        raise ValueError(f"{what} is {port!r}, not a number from 0 to 65535; type, for example: {what}=0")
    try:
        return socket.create_server((host, port), family=family)
    except OSError as why:
        if why.errno == errno.EADDRINUSE:
            msg = f"{what} {port} of {host} is taken; type: monitor.start({what}=0), or another number"
        else:
            msg = f"{what} {port} of {host}: {why.strerror}; type: monitor.start({what}=0), or another number"
        raise OSError(why.errno, msg) from None
