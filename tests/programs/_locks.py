"""Several Gs guard an invariant by a thread lock, in the ways that people write it."""

import asyncio
import contextlib
import threading

from _common import preempted

import preemptio

ROUNDS = 20
SPIN = 30_000  # longer than a slice, in loops around


class Guarded:
    """A pair of numbers that are equal whenever nobody is inside."""

    def __init__(self, lock):
        self.lock = lock
        self.left = self.right = 0
        self.torn = 0

    def change(self):
        """Be inside for longer than a slice."""
        self.torn += self.left != self.right
        self.left += 1
        for _ in range(SPIN):
            pass
        self.right += 1
        self.torn += self.left != self.right

    def in_with(self):
        with self.lock:
            self.change()

    def in_a_loop(self):
        for _ in range(2):
            with contextlib.nullcontext(), self.lock:
                self.left += 1
                for n in range(SPIN):
                    if n % 3:
                        continue
                self.right += 1

    def in_a_stack(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.lock)
            self.change()

    def in_a_generator(self):
        @contextlib.contextmanager
        def entered():
            with self.lock:
                yield

        with entered():
            self.change()

    def by_hand(self):
        self.lock.acquire()
        try:
            self.change()
        finally:
            self.lock.release()


async def main(lock=None):
    """Return how often the invariant was found broken, and how often the Gs were preempted."""
    guarded = Guarded(lock or threading.Lock())
    ways = guarded.in_with, guarded.in_a_loop, guarded.in_a_stack, guarded.in_a_generator, guarded.by_hand

    def work(way):
        n = 0
        for _ in range(ROUNDS):
            way()
            for _ in range(SPIN):  # outside, where the CPU may be taken
                n += 1

    tasks = [preemptio.go(work, way) for way in ways]
    await asyncio.gather(*tasks)
    assert guarded.left == guarded.right
    return guarded.torn, sum(map(preempted, tasks))
