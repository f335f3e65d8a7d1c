"""Functions that are preempted, and functions that run meanwhile, beside each other in one measured file.

With the argument "calm" as the second nothing is preempted, and each hog ends after a while by itself.
"""

import asyncio
import sys

from _hogs import preempted, run

import preemptio

CALM = sys.argv[2] == "calm"


def enough(task, rounds):
    return rounds >= 100 if CALM else preempted(task) >= 6


def inner(n):
    if n % 3:
        n += 1
    else:
        n -= 1
    if n < -10:
        n = 0  # never
    return n


def hog():
    task, n = asyncio.current_task(), 0
    while not enough(task, n):
        n += 1
        inner(n)
        for _ in range(20):
            inner(n)
    fresh(0)
    if n < 0:
        return None  # never
    return n


def other(n):
    total = 0
    for part in range(n):
        total += part
    return total


def fresh(n):
    """Call a function in a file that was never seen before: coverage.py looks at it, in Python."""
    namespace = {}
    exec(compile("def f(n):\n    n += 1\n    return n\n", f"{sys.argv[3]}/fresh_{n}.py", "exec"), namespace)
    return namespace["f"](n)


def hog_of_files():
    task, n = asyncio.current_task(), 0
    while n < 100 or not (CALM or preempted(task)):
        n += 1
        fresh(n % 100)
    return n


async def meanwhile(flag):
    n = 0
    while not flag:
        n += 1
        other(10)
        fresh(1000 + n % 50)
        await asyncio.sleep(0)
        if n == 2:
            late()
    for n in range(1000, 1050):
        fresh(n)


def late():
    first = 1
    return first + 1


async def main():
    flag = []
    beside = asyncio.create_task(meanwhile(flag))
    hogs = [preemptio.go(hog) for _ in range(3)] + [preemptio.go(hog_of_files)]
    await asyncio.gather(*hogs)
    flag.append(True)
    await beside
    print([preempted(task) for task in hogs])


run(main())
print("OK")
