"""The monitor in whole programs: a hog that nobody can preempt, the end of the process, forks, a terminal."""

import os
import pty
import re
import select
import socket
import subprocess
import sys
import termios
import time

import pytest

from tests.monitor._support import LIMIT, ask, attached, environment, program

HOG = """
import asyncio, hashlib, sys, threading, preemptio
from preemptio import monitor

async def hog():
    while True:
        hashlib.pbkdf2_hmac("sha256", b"x", b"y", 3_000_000)  # one call, for seconds

async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(3600), name="request")
        started = monitor.start(port=0, page_port=0, announce=False)
        group.create_task(hog(), name="hog in C")
        print(started.port, flush=True)

preemptio.run(main(), loop_factory=lambda: preemptio.new_event_loop({base}))
"""

BASES = {"asyncio": "asyncio.SelectorEventLoop", "uvloop": "__import__('uvloop').Loop"}


@pytest.fixture
def running():
    """Start programs that first write their console's port; end them with the test."""
    started = []

    def start(source, **options):
        process = program(source, **options)
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("base", BASES)
def test_the_console_answers_beside_a_hog_in_c(running, base):
    """By `preemptio attach`, in a pipe, and in a terminal."""
    _, port = running(HOG.replace("{base}", BASES[base]))
    until = time.monotonic() + LIMIT
    while '"hog in C" has the CPU' not in (said := ask(port, "gs")[0]):
        assert time.monotonic() < until, said
    (hog,) = re.findall(r"^ *(\d+) +hog in C +running", said, re.MULTILINE)
    said = attached(port, f"gstack {hog}\ngsuspend {hog} -t 0.1\ngwhy\nexit\ngs")
    assert "in hog\n" in said
    assert f"G {hog} was not stopped: the loop did not turn within 100ms" in said
    assert "cannot be preempted: opcode" in said
    assert "WAITS FOR" not in said, "what stands behind `exit` was done"
    if base == "asyncio":
        in_a_terminal(port)


def in_a_terminal(port):
    """Type into `preemptio attach` in a terminal of its own: it is put into raw mode, and back."""
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        [sys.executable, "-m", "preemptio", "attach", f":{port}"],
        env=environment(TERM="xterm"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    seen, until = b"", time.monotonic() + LIMIT

    def wait_for(text):
        nonlocal seen
        while text not in seen:
            assert select.select([ours], [], [], max(0, until - time.monotonic()))[0], seen
            seen += os.read(ours, 65536)
        seen = b""

    try:
        wait_for(b"monitor >>>")
        assert termios.tcgetattr(theirs) != before
        os.write(ours, b"gs -n 1\r")
        wait_for(b"1 shown")
        os.write(ours, b"exit\r")
        assert process.wait(LIMIT) == 0
        assert termios.tcgetattr(theirs) == before
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


ENDS = """
import asyncio, os, sys, preemptio
from preemptio import monitor

async def main():
    started = monitor.start(port=0, page_port=0, announce=False, record=5)
    print(started.port, flush=True)
    {body}

preemptio.run(main())
"""


def test_a_monitor_that_nobody_closed_does_not_keep_the_process_alive(running):
    """Nor does it complain."""
    process, _ = running(ENDS.replace("{body}", "sys.exit(0)"))
    _, said = process.communicate(timeout=LIMIT)
    assert (process.returncode, said) == (0, "")


FORKS = """
    print(started.page_port, flush=True)
    await asyncio.to_thread(input)
    child = os.fork()
    if not child:
        assert started.closed
        started.close()
        os.write(1, b"child\\n")
        for fd in 0, 1, 2:
            os.close(fd)
        __import__("signal").pause()
    os.write(1, f"{child}\\n".encode())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_keeps_neither_the_ports_nor_the_clients(running):
    """The ports are free, and clients are hung up on, when the parent ends, though its child lives."""
    process, port = running(ENDS.replace("{body}", FORKS), stdin=subprocess.PIPE)
    page_port, child = int(process.stdout.readline()), 0
    clients = [socket.create_connection(("127.0.0.1", each), LIMIT) for each in (port, page_port)]
    try:
        clients[1].sendall(f"GET /preemptio/events HTTP/1.1\r\nHost: 127.0.0.1:{page_port}\r\n\r\n".encode())
        for client in clients:
            assert client.recv(1)
        process.stdin.write("fork\n")
        process.stdin.flush()
        lines = {process.stdout.readline().strip(), process.stdout.readline().strip()}
        lines.remove("child")
        child = int(lines.pop())
        assert process.wait(LIMIT) == 0
        for client in clients:
            while client.recv(65536):
                pass
        os.kill(child, 0)
        for each in (port, page_port):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", each))
    finally:
        for client in clients:
            client.close()
        if child:
            os.kill(child, 9)
