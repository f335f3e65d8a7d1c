"""What the programs share: the loop that was asked for, and hogs that end when they are told to."""

import asyncio
import faulthandler
import sys

import preemptio

faulthandler.dump_traceback_later(45, exit=True)


def make_loop():
    if sys.argv[1] == "uvloop":
        import uvloop

        return preemptio.new_event_loop(uvloop.Loop)
    return preemptio.new_event_loop(asyncio.SelectorEventLoop)


def run(main):
    return preemptio.run(main, loop_factory=make_loop)


def rounds(n):
    """Return how many rounds take as long as n of them do without fault injection, or nearly."""
    debug = preemptio.config.debug
    return max(n // 200, 1) if debug.preemptall or debug.preemptrandom else n


class Flag:
    stop = False


def spin(flag):
    n = 1  # what it returns is true, however soon it is stopped
    while not flag.stop:
        n += 1
    return n


async def parked(*tasks):
    for task in tasks:
        while not task.g.parked:
            await asyncio.sleep(0)


async def a_hog_is_preempted():
    flag = Flag()
    hog = preemptio.go(spin, flag)
    await parked(hog)
    flag.stop = True
    assert await hog


def preempted(task):
    return sum(task.g.preemptions.values())
