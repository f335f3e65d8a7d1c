"""A task that blocks the thread in the operating system does not stop the others, and gets what it waits for.

Exit: 0
Says: blocking call in a task
Says: blocking_calls.py
"""

import asyncio
import os
import queue
import select
import socket
import subprocess
import threading
import time

import structlog.dev  # noqa: F401 - to import it for the first warning takes a while, which is not what is measured
from _common import run

import preemptio

LONG = 0.4


def later(fn, *args):
    threading.Timer(LONG, fn, args).start()


async def sleep():
    start = time.monotonic()
    time.sleep(LONG)
    return time.monotonic() - start >= LONG


async def acquire():
    lock = threading.Lock()
    lock.acquire()
    later(lock.release)
    return lock.acquire()


async def enter():
    lock = threading.Lock()
    lock.acquire()
    later(lock.release)
    with lock:
        return lock.locked()


async def get():
    items = queue.Queue()
    later(items.put, 1)
    return items.get() == 1


async def get_simple():
    items = queue.SimpleQueue()
    later(items.put, 1)
    return items.get() == 1


async def receive():
    here, there = socket.socketpair()
    with here, there:
        later(there.send, b"x")
        return here.recv(1) == b"x"


async def selects():
    here, there = socket.socketpair()
    with here, there:
        later(there.send, b"x")
        return select.select([here], [], [])[0] == [here]


async def reads():
    read, write = os.pipe()
    later(os.write, write, b"x")
    return os.read(read, 1) == b"x"


async def program():
    return subprocess.run(["sleep", str(LONG)], check=True).returncode == 0


async def join():
    thread = threading.Thread(target=time.sleep, args=(LONG,))
    thread.start()
    thread.join()
    return not thread.is_alive()


def goroutine():
    time.sleep(LONG)
    return True


async def beats(task):
    """Count turns of the loop while `task` blocks."""
    count = 0
    while not task.done():
        count += 1
        await asyncio.sleep(0.001)
    return count


async def deadlock():
    """Two tasks and a thread lock that is held across an await: with plain asyncio nothing runs any more."""
    lock = threading.Lock()

    async def holds():
        with lock:
            await asyncio.sleep(0.01)
            return True

    return await asyncio.gather(*[holds() for _ in range(3)]) == [True] * 3


async def exclusion():
    """An RLock belongs to the thread, and would let the next task in: who holds one blocks them all, as ever."""
    lock, inside = threading.RLock(), []

    async def sleeps():
        with lock:
            inside.append(True)
            time.sleep(0.02)
            assert len(inside) == 1
            inside.pop()

    await asyncio.gather(*[sleeps() for _ in range(3)])
    return not inside


async def cancelled():
    """What asked to be cancelled at a safe point is cancelled in its call."""
    lock = threading.Lock()
    lock.acquire()
    task = preemptio.go(lock_forever, lock, cancel="safepoint")
    while str(task.g.status) != "syscall":
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


def lock_forever(lock):
    lock.acquire()


async def main():
    for blocks in (sleep, acquire, enter, get, get_simple, receive, selects, reads, program, join, goroutine):
        task = preemptio.go(blocks)
        count = await beats(task)
        assert task.result(), blocks
        assert count > 20, (blocks, count)
    assert await deadlock()
    assert await exclusion()
    assert await cancelled()
    together = [preemptio.go(sleep) for _ in range(4)]
    start = time.monotonic()
    assert await asyncio.gather(*together) == [True] * 4
    assert time.monotonic() - start < 3 * LONG, "one after the other"


run(main())
print("OK")
