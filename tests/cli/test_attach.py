"""preemptio attach: what is typed, and its half of telnet. With a console it is in tests/monitor."""

import socket
import threading

import pytest

from preemptio._cli._address import address
from preemptio._cli._attach import CODES, Telnet, window_size

ASKED = (
    b"\xff\xfd\x22\xff\xfb\x03\xff\xfa\x22\x01\x00\xff\xf0\xff\xfb\x01\xff\xfd\x1f\xff\xfd\x18\xff\xfa\x18\x01\xff\xf0"
)
"""What prompt_toolkit's server says first."""


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("127.0.0.1:20103", ("127.0.0.1", 20103)),
        (":20103", ("127.0.0.1", 20103)),
        ("20103", ("127.0.0.1", 20103)),
        ("localhost", ("localhost", 20101)),
        ("[::1]:20103", ("::1", 20103)),
        ("[::1]", ("::1", 20101)),
    ],
)
def test_addresses(typed, meant):
    """Whatever is left out has a default."""
    assert address(typed) == meant


@pytest.mark.parametrize("typed", [":0", ":65536", "::1", "host:", "host:x", "[::1", "a:1:2"])
def test_an_address_that_is_none_is_refused(cli, one_line, typed):
    """In one line, with an example."""
    one_line(cli("attach", typed), repr(typed), "attach 127.0.0.1:20101")


def test_nobody_listens(cli, one_line):
    """It says what to type in the program, and what then."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    one_line(cli("attach", f":{port}"), f"nobody answers at 127.0.0.1:{port}", f"start(port={port})")


def test_what_listens_is_no_console(cli, one_line):
    """A web server, for instance, that hangs up."""

    def serve():
        client, _ = server.accept()
        with client:
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        one_line(cli("attach", f":{server.getsockname()[1]}"), "is no console")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_telnet_however_it_is_cut(size):
    """Commands are taken out and answered, and a byte of 255 in the text is kept."""
    telnet, text, answer = Telnet("dumb"), b"", b""
    stream = b"\xc3" + ASKED + b"a\xff\xffb\xff\xf1c"
    for at in range(0, len(stream), size):
        more, said = telnet.feed(stream[at : at + size])
        text, answer = text + more, answer + said
    assert text == b"\xc3a\xffbc"
    assert telnet.ready
    refused = b"\xff\xfc\x22"
    assert answer == (
        refused + b"\xff\xfd\x03\xff\xfd\x01\xff\xfb\x1f" + window_size() + b"\xff\xfb\x18\xff\xfa\x18\x00dumb\xff\xf0"
    )


def test_control_codes_are_left_out():
    """In a pipe nobody wants colours."""
    assert CODES.sub(b"", b"\x1b[0m\x1b[?7hred\x1b[0;31m\r\n\x1b(B") == b"red\n"
