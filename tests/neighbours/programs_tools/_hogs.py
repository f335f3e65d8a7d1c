"""What the programs share: the loop that was asked for, and hogs that end when they are told to."""

import asyncio
import faulthandler
import sys

import preemptio

faulthandler.dump_traceback_later(40, exit=True)


def make_loop():
    if sys.argv[1:2] == ["uvloop"]:
        import uvloop

        return preemptio.new_event_loop(uvloop.Loop)
    return preemptio.new_event_loop(asyncio.SelectorEventLoop)


def run(main):
    return preemptio.run(main, loop_factory=make_loop)


class Flag:
    stop = False
    rounds = 0


def spin(flag):
    while not flag.stop:
        flag.rounds += 1
    return flag.rounds


def preempted(task):
    return sum(task.g.preemptions.values())


async def again(*tasks):
    """Wait until each has been preempted once more."""
    before = [preempted(task) for task in tasks]
    while any(preempted(task) == n for task, n in zip(tasks, before, strict=True)):
        await asyncio.sleep(0)
