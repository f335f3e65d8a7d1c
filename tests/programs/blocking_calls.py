"""A task that blocks the thread in the operating system does not stop the others, and gets what it waits for.

PREEMPTIO_STARVATION=0
Exit: 0
Says: blocking call in a task
Says: blocking_calls.py
"""

import asyncio
import concurrent.futures
import os
import queue
import select
import socket
import subprocess
import threading
import time

from _common import Flag, preempted, rounds, run, spin

import preemptio

BEATS = 20


def acquire(released):
    lock = threading.Lock()
    lock.acquire()
    released.append(lock.release)
    assert lock.acquire()


def enter(released):
    lock = threading.Lock()
    lock.acquire()
    released.append(lock.release)
    with lock:
        pass


def get(released):
    items = queue.Queue()
    released.append(lambda: items.put(1))
    assert items.get() == 1


def get_simple(released):
    items = queue.SimpleQueue()
    released.append(lambda: items.put(1))
    assert items.get() == 1


def receive(released):
    here, there = socket.socketpair()
    with here, there:
        released.append(lambda: there.send(b"x"))
        assert here.recv(1) == b"x"


def selects(released):
    here, there = socket.socketpair()
    with here, there:
        released.append(lambda: there.send(b"x"))
        assert select.select([here], [], [])[0] == [here]


def reads(released):
    read, write = os.pipe()
    released.append(lambda: os.write(write, b"x"))
    assert os.read(read, 1) == b"x"


def program(released):
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    released.append(process.stdin.close)
    assert process.wait() == 0


def join(released):
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    released.append(ended.set)
    thread.join()


def result(released):
    future = concurrent.futures.Future()
    released.append(lambda: future.set_result(1))
    assert future.result() == 1


def sleep(released):
    told = []
    released.append(lambda: told.append(True))
    while not told:
        time.sleep(0.01)


async def coroutine(blocks, released):
    blocks(released)


def started_by_go(_blocks, released):
    """A function in C that `go` calls itself: there is no frame of the user's."""
    lock = threading.Lock()
    lock.acquire()
    released.append(lock.release)
    return preemptio.go(lock.acquire)


async def beats(blocks, start):
    """Release what `blocks` waits for after some turns of the loop: if there are none, it waits for ever."""
    released = []
    task = start(blocks, released)
    for _ in range(BEATS):
        await asyncio.sleep(0.001)
    assert not task.done(), blocks
    released[0]()
    await task


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


async def computes_again():
    """Having been blocked once does not cost a task its slices later."""
    flag, awake = Flag(), []

    def sleeps_and_spins():
        while not task.g._extra.blocked_at:
            time.sleep(0.005)
        awake.append(preempted(task))
        spin(flag)

    task = preemptio.go(sleeps_and_spins)
    while not awake or preempted(task) == awake[0]:
        await asyncio.sleep(0)
    flag.stop = True
    assert task.g._extra.blocked_at is None
    await task
    return True


async def released_by_a_hog():
    """Who is blocked lets preempted ones run, too, where nobody else is ready and no timer is set, not even ours."""
    lock = threading.Lock()
    lock.acquire()

    def computes():
        while preempted(hog) < 3:
            pass
        lock.release()

    waits, hog = preemptio.go(lock_forever, lock), preemptio.go(computes)
    await asyncio.gather(waits, hog)
    return True


async def main():
    for blocks in (acquire, enter, get, get_simple, receive, selects, reads, program, join, result, sleep):
        await beats(blocks, preemptio.go)
        await beats(blocks, lambda fn, released: asyncio.create_task(coroutine(fn, released)))
    await beats(acquire, started_by_go)
    assert await deadlock()
    assert await exclusion()
    assert await cancelled()
    if rounds(1000) == 1000:  # under fault injection a stop comes between the call and the look whether it blocked
        assert await computes_again()
    assert await released_by_a_hog()
    barrier = threading.Barrier(4)  # nobody leaves before all have come: one after the other would never end
    await asyncio.gather(*[preemptio.go(barrier.wait) for _ in range(4)])
    try:
        async with preemptio.timeout(0.02):
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
    except TimeoutError:
        pass
    else:
        raise AssertionError("the deadline did not reach the call")


run(main())
print("OK")
