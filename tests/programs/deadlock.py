"""A deadlock is reported once it is certain: not beside I/O, a thread, a signal handler, a call that blocks or a timer.

Uninjected: it is about what comes how soon
Exit: 0
Says: deadlock
Says: cycles: G
Says: held by G
"""

import asyncio
import faulthandler
import os
import signal
import subprocess
import sys
import threading

from _common import run

from preemptio import blocking
from preemptio._aio import _run_ahead
from preemptio._observe._deadlock import DeadlockWatch

faulthandler.cancel_dump_traceback_later()  # it has a thread
_run_ahead.LOOK_ASLEEP = 0.05  # of uvloop: here it is known that nothing comes that soon
SOON = 0.3
looked = []
look = DeadlockWatch.__call__
DeadlockWatch.__call__ = lambda self: looked.append(look(self)) or looked[-1]


def later(command):
    return subprocess.Popen(["sh", "-c", f"sleep {SOON}; {command}"], stdout=subprocess.PIPE)


async def io():
    loop, arrived, child = asyncio.get_running_loop(), asyncio.Event(), later("echo")
    loop.add_reader(child.stdout, arrived.set)
    await arrived.wait()
    loop.remove_reader(child.stdout)
    child.communicate()


async def on_a_signal_of_the_loop():
    loop, arrived, child = asyncio.get_running_loop(), asyncio.Event(), later(f"kill -USR1 {os.getpid()}")
    loop.add_signal_handler(signal.SIGUSR1, arrived.set)
    await arrived.wait()
    loop.remove_signal_handler(signal.SIGUSR1)
    child.communicate()


async def on_a_signal():
    loop, arrived, child = asyncio.get_running_loop(), asyncio.Event(), later(f"kill -USR2 {os.getpid()}")
    signal.signal(signal.SIGUSR2, lambda *_: loop.call_soon_threadsafe(arrived.set))
    await arrived.wait()
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    child.communicate()


async def thread():
    loop, arrived, wait = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    threading.Thread(target=lambda: (wait.wait(SOON), loop.call_soon_threadsafe(arrived.set))).start()
    await arrived.wait()


async def pool():
    await asyncio.to_thread(threading.Event().wait, SOON)


async def blocks():
    await blocking(threading.Event().wait, SOON)


async def takes(first, second):
    async with first:
        await asyncio.sleep(0.01)
        async with second:
            pass


async def deadlock():
    one, two = asyncio.Lock(), asyncio.Lock()
    child = later(f"kill -INT {os.getpid()}")
    try:
        await asyncio.gather(takes(one, two), takes(two, one))
    finally:
        child.communicate()


for harmless in (io, on_a_signal_of_the_loop, on_a_signal, thread, pool, blocks):
    looked.clear()
    run(harmless())
    seen = sys.argv[1] == "asyncio" or sys.platform == "linux"
    assert bool(looked) == seen, harmless
    assert not any(looked), harmless
looked.clear()
try:
    run(deadlock())
except KeyboardInterrupt:
    assert looked.count(True) == 1, looked
    print("OK")
