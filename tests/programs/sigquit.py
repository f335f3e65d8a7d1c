"""A dump at SIGQUIT, of a loop that sleeps and of one that is stuck; a handler that was there is called and put back.

Exit: 0
PREEMPTIO_DEBUG=sigquit=1
Says: signal not taken
"""

import asyncio
import faulthandler
import io
import os
import signal
import sys
import threading
import time

from _common import run

import preemptio

called = []
stderr, sys.stderr = sys.stderr, io.StringIO()
signal.signal(signal.SIGQUIT, lambda number, _frame: called.append(number))
before = signal.getsignal(signal.SIGQUIT)


def written():
    """Wait, as whatever is stuck waits, for a whole dump; return it."""
    until = time.monotonic() + 15
    while "created by" not in sys.stderr.getvalue():
        assert time.monotonic() < until
    text, sys.stderr = sys.stderr.getvalue(), io.StringIO()
    return text


def stuck():
    with preemptio.nopreempt("stuck"):
        os.kill(os.getpid(), signal.SIGQUIT)
        return written()


async def main():
    assert signal.getsignal(signal.SIGQUIT) != before
    os.kill(os.getpid(), signal.SIGQUIT)
    while "created by" not in sys.stderr.getvalue():
        await asyncio.sleep(0.01)
    text = written()
    assert "[sleep" in text, text
    assert "read from outside" not in text, text
    text = await preemptio.go(stuck, name="hog")
    assert "the loop did not answer within 1 s" in text, text
    assert "in stuck: return written()" in text, text
    pid = os.fork()
    if not pid:  # the child has no thread for it
        os._exit(signal.getsignal(signal.SIGQUIT) is not before)
    assert os.waitpid(pid, 0)[1] == 0


run(main())
assert called == [signal.SIGQUIT] * 2
assert signal.getsignal(signal.SIGQUIT) is before
assert "preemptio-sigquit" not in [thread.name for thread in threading.enumerate()]

sys.stderr = stderr
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


async def quit_beside_c_code():
    os.kill(os.getpid(), signal.SIGQUIT)


with open(os.devnull, "wb", buffering=0) as nowhere:
    faulthandler.register(signal.SIGQUIT, nowhere)
    run(quit_beside_c_code())
    os.kill(os.getpid(), signal.SIGQUIT)  # it is there still, or this ends the program
    faulthandler.unregister(signal.SIGQUIT)
print("OK")
