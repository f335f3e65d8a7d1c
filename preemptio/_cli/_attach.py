"""attach: the console of a live program, from a terminal or a pipe.

A small telnet client: it needs nothing installed but us, and reaches the program by its port alone.

In a terminal keys go to the console as they are typed, which echoes them. In a pipe each line is a command: the client
says that its terminal is a dumb one, so the console sends the answers and nothing else; what control codes there are
all the same are left out. When the input ends the client says `exit`, and reads until the console hangs up.

Context: the main thread.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import select
import shutil
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

from preemptio._cli._args import program_name
from preemptio._cli._refusal import Refusal

PATIENCE: Final = 5.0
"""Seconds within which something that is a console has said so."""

IAC, DONT, DO, WONT, WILL, SB, SE = 255, 254, 253, 252, 251, 250, 240
ECHO, SUPPRESS_GO_AHEAD, TERMINAL_TYPE, WINDOW_SIZE = 1, 3, 24, 31
IS, SEND = 0, 1

CODES: Final = re.compile(rb"\x1b(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[=>])|\r(?=\n)")


class Telnet:
    """The client's half of the protocol: what the console says, without it, and what is to be answered."""

    def __init__(self, terminal: str) -> None:
        """Take the name of the terminal."""
        self.terminal = terminal
        self.ready = False  # it has asked which terminal this is: it is a console
        self._rest = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the text in what was received, and what has to be sent back."""
        data, self._rest = self._rest + data, b""
        text, answer, at = bytearray(), bytearray(), 0
        while at < len(data):
            found = data.find(IAC, at)
            if found < 0:
                text += data[at:]
                break
            text += data[at:found]
            length = self._length(data, found)
            if not length:  # the rest has not come yet
                self._rest = data[found:]
                break
            answer += self._answer(data[found : found + length], text)
            at = found + length
        return bytes(text), bytes(answer)

    @staticmethod
    def _length(data: bytes, at: int) -> int:
        """Return the length of the command there, or 0 if its end is missing."""
        if len(data) < at + 2:
            return 0
        what = data[at + 1]
        if what == SB:
            end = data.find(bytes((IAC, SE)), at)
            return end + 2 - at if end >= 0 else 0
        wanted = 3 if what in (DO, DONT, WILL, WONT) else 2
        return wanted if len(data) >= at + wanted else 0

    def _answer(self, command: bytes, text: bytearray) -> bytes:
        what, option = command[1], command[2] if len(command) > 2 else 0
        if what == IAC:
            text.append(IAC)
        if what == WILL:
            return bytes((IAC, DO if option in (ECHO, SUPPRESS_GO_AHEAD) else DONT, option))
        if what == DO:
            known = option in (TERMINAL_TYPE, WINDOW_SIZE, SUPPRESS_GO_AHEAD)
            agreed = bytes((IAC, WILL if known else WONT, option))
            return agreed + window_size() if option == WINDOW_SIZE else agreed
        if what == SB and option == TERMINAL_TYPE and command[3:4] == bytes((SEND,)):
            self.ready = True
            return bytes((IAC, SB, TERMINAL_TYPE, IS)) + self.terminal.encode("ascii", "replace") + bytes((IAC, SE))
        return b""


def window_size() -> bytes:
    """Return the command that says how large the terminal is."""
    size = shutil.get_terminal_size((200, 50))
    numbers = struct.pack(">HH", size.columns, size.lines).replace(b"\xff", b"\xff\xff")
    return bytes((IAC, SB, WINDOW_SIZE)) + numbers + bytes((IAC, SE))


def attach(options: argparse.Namespace) -> int:
    """Talk to a console until one side has enough; return the exit status.

    Raises:
        Refusal: nobody listens there, or something that is no console.
    """
    host, port = options.address
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    again = f"Type, in the program: preemptio.monitor.start(port={port}); then: {program_name()} attach {where}"
    try:
        connection = socket.create_connection((host, port), PATIENCE)
    except OSError as why:
        raise Refusal(f"nobody answers at {where} ({why.strerror or why}). {again}") from None
    live = sys.stdin.isatty() and sys.stdout.isatty()
    telnet = Telnet(os.environ.get("TERM") or "vt100" if live else "dumb")
    with connection:
        first = _negotiate(connection, telnet, f"what listens at {where} is no console. {again}")
        connection.settimeout(None)
        with contextlib.suppress(ConnectionError):
            _terminal(connection, telnet, first) if live else _pipe(connection, telnet, first)
    return 0


def _negotiate(connection: socket.socket, telnet: Telnet, refusal: str) -> bytes:
    """Wait until the console has asked who we are; return what text came with that."""
    text, until = b"", time.monotonic() + PATIENCE
    while not telnet.ready:
        connection.settimeout(max(0.01, until - time.monotonic()))
        try:
            data = connection.recv(65536)
        except OSError:
            data = b""
        if not data or time.monotonic() > until:
            raise Refusal(refusal)
        more, answer = telnet.feed(data)
        text += more
        if answer:
            connection.sendall(answer)
    return text


def _received(connection: socket.socket, telnet: Telnet) -> bytes | None:
    """Return the text that has come, None at the end."""
    data = connection.recv(65536)
    if not data:
        return None
    text, answer = telnet.feed(data)
    if answer:
        connection.sendall(answer)
    return text


def _pipe(connection: socket.socket, telnet: Telnet, first: bytes) -> None:
    """Send the lines of the input, and write the answers."""
    _write(CODES.sub(b"", first))
    source, ended, cut = sys.stdin.fileno(), False, b""
    while True:
        ready, _, _ = select.select([connection, *([] if ended else [source])], [], [])
        if source in ready:
            typed = os.read(source, 4096)
            ended = not typed
            connection.sendall(typed.replace(b"\r\n", b"\n").replace(b"\n", b"\r") or b"\rexit\r")
        if connection in ready:
            text = _received(connection, telnet)
            if text is None:
                return
            text = cut + text
            end = text.rfind(b"\x1b") if b"\x1b" in text[-16:] else -1
            end = len(text) if end < 0 or CODES.match(text, end) else end  # half of a control code waits for its rest
            text, cut = text[:end], text[end:]
            _write(CODES.sub(b"", text))


def _terminal(connection: socket.socket, telnet: Telnet, first: bytes) -> None:
    """Hand keys and text on as they are."""
    with _raw(sys.stdin.fileno()), _resized(connection):
        _write(first)
        while True:
            try:
                ready, _, _ = select.select([connection, sys.stdin], [], [])
            except InterruptedError:
                continue
            if sys.stdin in ready:
                typed = os.read(sys.stdin.fileno(), 4096)
                if not typed:
                    return
                connection.sendall(typed.replace(b"\xff", b"\xff\xff"))
            if connection in ready:
                text = _received(connection, telnet)
                if text is None:
                    return
                _write(text)


def _write(text: bytes) -> None:
    sys.stdout.flush()
    while text:
        text = text[os.write(sys.stdout.fileno(), text) :]


@contextlib.contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """Have keys come one by one and unechoed, Ctrl-C among them; put the terminal back at the end."""
    import termios
    import tty

    before = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _resized(connection: socket.socket) -> Iterator[None]:
    """Tell the console when the window gets another size."""

    def tell(*_: Any) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(window_size())

    before = signal.signal(signal.SIGWINCH, tell)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
