"""Hogs that make cycles whose finalizers compute: no switch ever happens inside a collection.

Exit: 0
"""

import asyncio
import gc

from _common import Flag, preempted, run

import preemptio

finalized = 0


class Node:
    def __init__(self):
        self.me = self
        self.load = [[] for _ in range(20)]

    def __del__(self):
        global finalized
        n = 0
        for _ in range(50):
            n += 1
        finalized += 1


def allocate(flag):
    n = 0
    while not flag.stop:
        n += 1
        Node()
        if n % 500 == 0:
            gc.collect(n % 3)
    return n


async def main():
    gc.set_threshold(50, 2, 2)
    flag = Flag()
    tasks = [preemptio.go(allocate, flag) for _ in range(4)]
    while min(map(preempted, tasks)) < 8:
        await asyncio.sleep(0.001)
    flag.stop = True
    return sum(await asyncio.gather(*tasks))


made = run(main())
gc.collect()
assert finalized == made, (finalized, made)
print("OK")
