"""What the behaviour tests share: work that computes until it is told to stop, and ways to wait for a state."""

import asyncio

import preemptio
from preemptio.lowlevel import Gstatus


def injected():
    """Return whether every line is traced: then a round takes a hundred times as long; see tests/conftest.py."""
    return preemptio.config.debug.preemptall or bool(preemptio.config.debug.preemptrandom)


def limit():
    """Rounds after which a computation gives up: a test whose hog is never interrupted fails instead of hanging."""
    return 200_000 if injected() else 50_000_000


def rounds(n):
    """Return how many rounds take as long as n of them do without fault injection, or nearly."""
    return max(n // 200, 1) if injected() else n


class Flag:
    """Set `stop` to end the computations that look at it; leaving `with flag:` does."""

    def __init__(self):
        self.stop = False

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.stop = True


def spin(flag, most=None):
    """Compute without a single call until told to stop; return the number of rounds, the last included."""
    for n in range(1, most or limit()):
        if flag.stop:
            return n
    raise AssertionError("nobody else ran while this computed")


async def parked(*tasks):
    """Return when each of these tasks stands in the middle of a step."""
    for task in tasks:
        while not task.g.parked:
            assert not task.done(), f"{task} ended before it was preempted"
            await asyncio.sleep(0)


async def waiting(*tasks):
    """Return when each of these tasks waits for something."""
    for task in tasks:
        while task.g.status is not Gstatus.WAITING:
            assert not task.done(), f"{task} ended before it waited"
            await asyncio.sleep(0)


async def turns(n):
    """Let the loop go round."""
    for _ in range(n):
        await asyncio.sleep(0)


def preempted(task):
    """Return how often the CPU was taken from a task."""
    return sum(task.g.preemptions.values())
