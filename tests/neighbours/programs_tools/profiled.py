"""Hogs under cProfile: all of the program is, or, with the argument "task", a task profiles itself while others run."""

import asyncio
import cProfile
import pstats
import sys

from _hogs import preempted, run

import preemptio

EACH = 6
"""Times that a task is preempted before it ends."""


def small(n):
    return n + 1


def hog(count):
    """Call `small` until preempted often enough; add how often that was to `count`."""
    task, calls = asyncio.current_task(), 0
    while preempted(task) < EACH:
        for _ in range(100):
            small(calls)
            calls += 1
    count.append(calls)


def hog_with_a_profile(count):
    profile = cProfile.Profile()
    profile.enable()
    hog(count)
    profile.disable()
    stats = pstats.Stats(profile).stats
    assert any(name == "small" for _, _, name in stats)


async def main():
    count = []
    first = hog_with_a_profile if sys.argv[2:] == ["task"] else hog
    await asyncio.gather(*(preemptio.go(job, count) for job in (first, hog, hog)))
    print("CALLS", sum(count))


run(main())
print("OK")
