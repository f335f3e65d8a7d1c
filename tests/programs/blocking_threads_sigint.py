"""Ctrl-C reaches a task whose call is still in its thread, and does not wait for that call.

Exit: -2
Says: blocking call did not end
"""

import os
import signal
import threading

from _common import run

import preemptio

never = threading.Event()


def interrupts():
    os.kill(os.getpid(), signal.SIGINT)
    never.wait()


async def main():
    await preemptio.blocking(interrupts)


run(main())
