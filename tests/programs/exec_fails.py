"""exec of a program that does not exist: the task that tried goes on, and is preempted as before.

Exit: 0
"""

import os

from _common import Flag, parked, preempted, run

import preemptio

tried = []


def tries(flag):
    try:
        os.execv("/does/not/exist", ["x"])
    except FileNotFoundError:
        tried.append(preempted(task))
    for n in range(100_000_000):
        if flag.stop:
            return n
    raise AssertionError("not preempted any more")


async def main():
    global task
    flag = Flag()
    task = preemptio.go(tries, flag)
    await parked(task)
    while not tried or preempted(task) < tried[0] + 2:
        await preemptio.go(lambda: None)
    flag.stop = True
    assert await task


run(main())
print("OK")
