"""Loops come and go in threads, with the same hogs in each, beside one in the main thread that signals preempt; every
task comes to its end, the collector runs, some are cancelled where they stand. Nothing is left.

Exit: 0
"""

import _thread
import asyncio
import gc
import json
import sys
import threading

from _common import rounds, run

import preemptio
from preemptio._preempt._monitor import REQUESTS

MONITORED = hasattr(sys, "monitoring")
ROUNDS = max(rounds(300), 5)


def squares(n):
    for i in range(n):
        yield i * i


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def work(rounds):
    total = 0
    for i in range(rounds):
        total += sum(squares(50)) + fib(6)
        if i % 20 == 0:
            json.loads(json.dumps({"a": [1, {"b": total}]}))
            sorted(range(40), key=lambda n: -n)
        if i % 200 == 0:
            gc.collect(0)
    return total


def forever():
    while True:
        work(10)


async def main():
    expected = work(ROUNDS)
    hogs = [preemptio.go(work, ROUNDS) for _ in range(3)]
    for _ in range(5):
        endless = preemptio.go(forever, cancel="safepoint")
        while not endless.g.parked:
            await asyncio.sleep(0)
        endless.cancel()
        try:
            await endless
        except asyncio.CancelledError:
            continue
        raise AssertionError
    assert await asyncio.gather(*hogs) == [expected] * 3
    return asyncio.get_running_loop()._ticker.source


def loops():
    sources.extend(run(main()) for _ in range(2))


sources = []
interval, threads_before = sys.getswitchinterval(), _thread._count()
if MONITORED:
    threads = [threading.Thread(target=loops) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert run(main()) in ("posix", "itimer")
    for thread in threads:
        thread.join()
    assert sources == ["monitor"] * 4, sources
assert REQUESTS._tool == -1
assert not REQUESTS._asked
assert sys.getswitchinterval() == interval, sys.getswitchinterval()
assert _thread._count() == threads_before
print("OK")
