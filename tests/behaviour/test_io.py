"""Threads, sockets, signals and processes beside tasks that compute."""

import asyncio
import os
import signal
import socket
import sys
import threading

import pytest
import pytest_asyncio

import preemptio
from preemptio.lowlevel import current_g
from tests.behaviour._support import Flag, parked, spin

pytestmark = [pytest.mark.loop, pytest.mark.asyncio, pytest.mark.usefixtures("hogs")]


@pytest_asyncio.fixture
async def hogs():
    """Two tasks that compute until the test is over, and must not be over before."""
    with Flag() as flag:
        tasks = [preemptio.go(spin, flag, 10**9) for _ in range(2)]
        await parked(*tasks)
        yield tasks
        assert not any(task.done() for task in tasks)
    await asyncio.gather(*tasks)


async def test_run_in_executor():
    """A function in a worker thread gets its share of the GIL, and its result arrives."""
    loop = asyncio.get_running_loop()
    results = [loop.run_in_executor(None, sum, range(1000 * n)) for n in range(5)]
    assert await asyncio.gather(*results) == [sum(range(1000 * n)) for n in range(5)]


async def test_a_worker_thread_is_no_g():
    """In a worker thread no G runs, and checkpoints and masks do nothing."""

    def work():
        preemptio.checkpoint()
        with preemptio.nopreempt("in a thread"):
            preemptio.charge(5000)
        return current_g(), preemptio.should_yield()

    assert await asyncio.to_thread(work) == (None, False)


async def test_call_soon_threadsafe():
    """A callback sent by a thread runs while tasks compute."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(event.set,))
    thread.start()
    await event.wait()
    thread.join()


async def test_run_coroutine_threadsafe():
    """A thread may start a coroutine here and wait for its result."""

    async def answer():
        await asyncio.sleep(0)
        return 42

    loop = asyncio.get_running_loop()
    assert await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(answer(), loop).result(30)) == 42


async def test_add_reader():
    """A reader callback is called when its socket has something."""
    here, there = socket.socketpair()
    here.setblocking(False)
    loop, got = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    with here, there:
        loop.add_reader(here, lambda: got.done() or got.set_result(here.recv(10)))
        there.send(b"hello")
        assert await got == b"hello"
        loop.remove_reader(here)


async def test_a_server():
    """Many connections to a server in the same loop are all answered."""

    async def serve(reader, writer):
        writer.write((await reader.readline()).upper())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def client(n):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"line %d\n" % n)
        try:
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()

    assert await asyncio.gather(*map(client, range(10))) == [b"LINE %d\n" % n for n in range(10)]
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("times", [1, 5])
async def test_add_signal_handler(times):
    """A signal's handler runs as a callback of the loop, once for each time that it was seen."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, event.set)
    try:
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGUSR1)
            await event.wait()
            event.clear()
    finally:
        assert loop.remove_signal_handler(signal.SIGUSR1)


async def test_a_subprocess():
    """A child process is started, fed, and its end is noticed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "print(input()[::-1])",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(b"olleh\n")
    assert (process.returncode, out) == (0, b"hello\n")


async def test_a_reader_is_called_once_for_what_came():
    """More sockets than a batch has places for: none is found readable again before its callback has run."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    pairs = [socket.socketpair() for _ in range(4 * preemptio.config.budget)]
    left, extra = set(range(len(pairs))), []

    def read(n, sock):
        try:
            left.discard(sock.recv(1) and n)
        except BlockingIOError:
            extra.append(n)
        if not left:
            done.set()

    try:
        for n, (ours, _) in enumerate(pairs):
            ours.setblocking(False)
            loop.add_reader(ours, read, n, ours)
        for _, theirs in pairs:
            theirs.send(b"x")
        await done.wait()
        assert extra == []
    finally:
        for ours, theirs in pairs:
            loop.remove_reader(ours)
            ours.close()
            theirs.close()
