"""What the behaviour tests share: work that computes until it is told to stop, and ways to wait for a state."""

import asyncio

import preemptio

INJECTED = preemptio.config.debug.preemptall or bool(preemptio.config.debug.preemptrandom)
"""Whether every line is traced: then a round takes a hundred times as long, and a task may be parked anywhere."""

LIMIT = 200_000 if INJECTED else 50_000_000
"""Rounds after which a computation gives up: a test whose hog is never interrupted fails instead of hanging."""


class Flag:
    """Set `stop` to end the computations that look at it; leaving `with flag:` does."""

    def __init__(self):
        self.stop = False

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.stop = True


def spin(flag, limit=LIMIT):
    """Compute without a single call until told to stop; return the number of rounds."""
    for n in range(limit):
        if flag.stop:
            return n
    raise AssertionError("nobody else ran while this computed")


async def parked(*tasks):
    """Return when each of these tasks stands in the middle of a step."""
    for task in tasks:
        while not task.g.parked:
            assert not task.done(), f"{task} ended before it was preempted"
            await asyncio.sleep(0)


async def turns(n):
    """Let the loop go round."""
    for _ in range(n):
        await asyncio.sleep(0)


def preempted(task):
    """Return how often the CPU was taken from a task."""
    return sum(task.g.preemptions.values())
