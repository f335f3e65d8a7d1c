"""The console's door: a telnet server for aiomonitor's prompt.

Problem. prompt_toolkit's own server writes with a blocking `send` and does not look at what was sent: one client that
does not read holds up everybody, and one that reads slowly loses text. It says on standard output that a connection was
cancelled. And it takes whatever comes: a page in a browser may have the browser post a form to this port, with commands
in it, and a command may be Python.

What we do. prompt_toolkit's connection is used with a socket of our own class: it sends everything, within a time, or
is closed. Its first byte must be telnet's: a client answers the negotiation, and what a browser sends begins with a
letter, or with TLS's first byte.

A terminal that calls itself `dumb` gets no prompt and no completion, but a line of output for each line that it sends:
this is what `preemptio attach` is in a pipe.

Context: the monitor's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import socket
import traceback
from collections.abc import AsyncGenerator
from contextvars import copy_context
from typing import Any, Final

import click
from prompt_toolkit.contrib.telnet.server import TelnetConnection
from prompt_toolkit.input import Input, create_pipe_input
from prompt_toolkit.keys import Keys

from preemptio._observe._monitor._aiomonitor import (
    command_done,
    current_monitor,
    current_stdout,
    interact,
    monitor_cli,
)
from preemptio._observe._monitor._params import fail, is_dumb

IAC: Final = b"\xff"
SLOWEST: Final = 2.0
"""Seconds that a client may take to read what it is sent."""

REFUSED: Final = b"This is a console for telnet. Type: preemptio attach HOST:PORT\r\n"


class Guarded(socket.socket):
    """A client's connection."""

    _spoke = False

    def recv(self, *args: Any) -> bytes:
        """Receive; from whom does not speak telnet there comes nothing more."""
        try:
            data = super().recv(*args)
        except OSError:
            return b""
        if data and not self._spoke:
            self._spoke = True
            if not data.startswith(IAC):
                with contextlib.suppress(OSError):
                    self.sendall(REFUSED)
                return b""
        return data

    def send(self, data: Any, *args: Any) -> int:
        """Send everything, or end the connection: the reader sees that."""
        if not data:  # a flush: each call of the system costs a wait for the GIL
            return 0
        try:
            self.sendall(data, *args)
        except OSError:
            with contextlib.suppress(OSError):
                self.shutdown(socket.SHUT_RDWR)
            raise
        return len(data)


async def serve(monitor: Any, listener: socket.socket) -> None:
    """Accept clients until this is cancelled."""
    loop = asyncio.get_running_loop()
    talks: set[asyncio.Task[None]] = set()

    def accept() -> None:
        try:
            accepted, _ = listener.accept()
        except OSError:  # out of descriptors, or the client has gone already
            loop.remove_reader(listener)
            loop.call_later(0.1, again)
            return
        client = Guarded(fileno=accepted.detach())
        client.settimeout(SLOWEST)
        monitor.clients.add(client)
        task = loop.create_task(_talk(monitor, client))
        talks.add(task)
        task.add_done_callback(talks.discard)

    def again() -> None:
        if listener.fileno() >= 0:
            loop.add_reader(listener, accept)

    listener.setblocking(False)
    loop.add_reader(listener, accept)
    try:
        await loop.create_future()
    finally:
        loop.remove_reader(listener)
        listener.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        for client in list(monitor.clients):  # a task that is cancelled before it has begun closes nothing
            client.close()


async def _talk(monitor: Any, client: Guarded) -> None:
    async def talk(connection: TelnetConnection) -> None:
        await (_lines(monitor, connection) if is_dumb() else interact(monitor, connection))

    ends = (EOFError, KeyboardInterrupt, asyncio.CancelledError, OSError)
    with contextlib.suppress(*ends), client, create_pipe_input() as keys:
        server: Any = None  # kept by it, and not used
        connection = TelnetConnection(client, ("", 0), talk, server, encoding="utf-8", style=None, vt100_input=keys)
        await connection.run_application()


async def _lines(monitor: Any, connection: TelnetConnection) -> None:
    """Do each line as a command."""
    current_monitor.set(monitor)
    current_stdout.set(connection.stdout)
    # Closed here, and not by the collector later: it would take the reader from another session's descriptor.
    async with contextlib.aclosing(_typed(connection.vt100_input)) as lines:
        async for line in lines:
            command_done.set(asyncio.Event())
            try:
                words = shlex.split(line)
                if not words:
                    continue
                before = set(monitor._termui_tasks)
                copy_context().run(monitor_cli.main, words, prog_name="", obj=monitor, standalone_mode=False)
                # Not for `done`: aiomonitor's own option --help sets it before the command has begun.
                await asyncio.gather(*set(monitor._termui_tasks) - before)
            except click.ClickException as why:
                fail(why.format_message())
            except ValueError as why:  # of a quotation mark alone
                fail(str(why))
            except asyncio.CancelledError:  # also what the command `exit` raises
                return
            except Exception:
                fail(traceback.format_exc())


async def _typed(keys: Input) -> AsyncGenerator[str, None]:
    """Yield the lines that are typed, until the connection ends."""
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    text: list[str] = []

    def read() -> None:
        for each in keys.read_keys():
            if each.key in {Keys.ControlM, Keys.ControlJ}:
                lines.put_nowait("".join(text))
                text.clear()
            else:
                text.append(each.data)
        if keys.closed:
            lines.put_nowait(None)

    with keys.attach(read):
        while (line := await lines.get()) is not None:
            yield line
