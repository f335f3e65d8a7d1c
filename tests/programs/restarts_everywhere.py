"""With the CPU taken at every safe point: a restartable function returns what was all there at one moment.

PREEMPTIO_DEBUG=preemptall=1
Exit: 0
"""

import asyncio
import sys

from _common import run

import preemptio


class Account:
    """Three words that belong together, and a list that grows and shrinks."""

    def __init__(self):
        self.version = 0
        self.rows = [0] * 4
        self.total = 0

    def change(self):
        """Straight-line code, so never torn itself."""
        self.version += 1
        self.rows[:] = [self.version] * (2 + self.version % 5)
        self.total = self.version * len(self.rows)

    def read(self):
        """Read it in many steps: loops, a generator, callees, a sort with a key."""
        version = self.version
        rows = [each(row) for row in self.rows]
        length = sum(1 for _ in self.rows)
        for row in self.rows:
            rows += [each(row)]
        rows = sorted(rows, key=each)
        total = self.total
        return version, rows, length, total

    steady = preemptio.restartable(read)

    @preemptio.restartable
    def pair(self):
        """Read in straight-line code: only its entry is a safe point, and there nothing was read yet."""
        version = self.version
        return version, self.total

    @preemptio.restartable
    def book(self, journal):
        """Read, and have an effect in the last statement."""
        seen = self.outer()
        post(journal, seen)

    @preemptio.restartable
    def outer(self):
        """A section within a section."""
        first = self.steady()
        second = self.steady()
        assert first == second, "torn, and seen by what came after it"
        return first


def each(row):
    return row


def post(journal, seen):
    journal.append(seen)
    for word in seen:
        each(word)


def torn(seen):
    version, rows, length, total = seen
    return len(rows) != 2 * length or set(rows) != {version} or total != version * length


async def main():
    account, journal, stop = Account(), [], []

    async def change():
        while not stop:
            account.change()
            await asyncio.sleep(0)

    def read(how, times):
        return sum(torn(how()) for _ in range(times))

    def pairs(times):
        for _ in range(times):
            account.pair()

    def book(times):
        for n in range(times):
            account.book(journal)
            assert len(journal) == n + 1, "booked twice"

    others = asyncio.create_task(change())
    assert await preemptio.go(read, account.read, 20) > 10, "the same without the decorator is torn"
    steady, outer, booked = readers = [
        preemptio.go(read, account.steady, 60),
        preemptio.go(read, account.outer, 20),
        preemptio.go(book, 20),
    ]
    assert await steady == 0
    assert await outer == 0
    await booked
    assert not any(map(torn, journal))
    for task in readers:
        assert task.g.restarts >= 60 or task is not steady, task.g.restarts
        assert task.g.restarts >= 20, task.g.restarts
        assert sum(task.g.preemptions.values()) > task.g.restarts  # those at the entries need none
    entered = preemptio.go(pairs, 20)
    await entered
    assert entered.g.restarts == 0
    assert sum(entered.g.preemptions.values()) >= 20
    stop.append(1)
    await others
    assert sys.gettrace() is not None, "the restarts have ended the fault injection"


run(main())
print("OK")
