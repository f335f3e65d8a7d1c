"""Code that was written to run alone breaks when it is preempted, and holds when it is denied.

By function, by class, by module, by file and for the loop; what is allowed again inside it is preempted.

PREEMPTIO_DEBUG=preemptall=1
Exit: 0
"""

import asyncio

from _common import run

import preemptio

ROUNDS = 100


class Ledger:
    """Two books that agree between two entries: right in asyncio, where nothing runs while one is made."""

    def __init__(self):
        self.one = self.two = 0
        self.disagreed = 0

    def enter(self):
        self.disagreed += self.one != self.two
        self.one += 1
        self.stamp()
        self.two += 1

    def stamp(self):
        pass


def customer(ledger):
    for _ in range(ROUNDS):
        ledger.enter()


async def busy(policy=None):
    """Return how often the books disagreed, and how often their customers were preempted."""
    ledger = Ledger()
    tasks = [preemptio.go(customer, ledger, policy=policy) for _ in range(4)]
    await asyncio.gather(*tasks)
    assert ledger.one == ledger.two == 4 * ROUNDS
    return ledger.disagreed, sum(sum(task.g.preemptions.values()) for task in tasks)


def held(found):
    disagreed, taken = found
    return disagreed == 0 and taken > ROUNDS  # the rest of the task is preempted


async def main():
    assert (await busy())[0], "the hazard is not real"
    for deny in (Ledger.enter, "__main__:Ledger", "__main__:Ledger.enter"):
        assert held(await busy(preemptio.SafePointPolicy(deny=[deny]))), deny
    for deny in ("__main__", __file__):
        assert await busy(preemptio.SafePointPolicy(deny=[deny])) == (0, 0), deny
    assert held(await busy(preemptio.SafePointPolicy(deny=["__main__"], allow=[customer])))


async def loop_wide():
    assert held(await busy())


run(main())
with preemptio.config.override(deny="__main__:Ledger"):
    run(loop_wide())
print("OK")
