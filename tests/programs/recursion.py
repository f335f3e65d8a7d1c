"""Tasks preempted close to the recursion limit: RecursionError is the user's own, where it would be without us.

Exit: 0
"""

import asyncio
import gc
import sys

from _common import preempted, rounds, run

import preemptio


def down(n):
    for _ in range(rounds(300)):
        pass
    return 0 if n == 0 else down(n - 1) + 1


def endless(n):
    for _ in range(rounds(300)):
        pass
    return endless(n + 1)


def again():
    caught = 0
    for _ in range(20):
        try:
            endless(0)
        except RecursionError:
            caught += 1
    return caught


async def main():
    if rounds(1000) < 1000:  # each stop looks at all frames below
        sys.setrecursionlimit(250)
        gc.disable()  # it calls us where there is no room for it, and says so
    depth = sys.getrecursionlimit() - 60
    tasks = [preemptio.go(again) for _ in range(3)]
    deep = [preemptio.go(down, depth) for _ in range(3)]
    assert await asyncio.gather(*tasks) == [20] * 3
    assert await asyncio.gather(*deep) == [depth] * 3
    assert all(map(preempted, tasks))


run(main())
print("OK")
