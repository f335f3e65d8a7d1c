"""A timeout that ends code which never awaits: a backtracking search that would run for hours.

    python examples/03_timeouts.py

asyncio.timeout cancels the task, and asyncio delivers that at the next await: the search has none, so it runs to its
end and the timeout only says afterwards that it was too long. preemptio.timeout raises where the search stands.
"""

import asyncio
import time

import preemptio


def queens(n, row=0, columns=0, left=0, right=0):
    """Count the ways to put n queens on a board of n x n, none of which attacks another."""
    if row == n:
        return 1
    found = 0
    free = ((1 << n) - 1) & ~(columns | left | right)
    while free:
        place = free & -free
        free ^= place
        found += queens(n, row + 1, columns | place, (left | place) << 1, (right | place) >> 1)
    return found


async def count(n, seconds, timeout):
    """Count within a time limit; return the count, or None, and how long it took."""
    start = time.perf_counter()
    found = None
    try:
        async with timeout(seconds):
            found = queens(n)
            await asyncio.sleep(0)  # where plain asyncio notices
    except TimeoutError:
        found = None
    return found, time.perf_counter() - start


async def plain():
    """Give a search of some tenths of a second 50 ms, with asyncio.timeout."""
    found, took = await count(12, 0.05, asyncio.timeout)
    print(f"asyncio.timeout(0.05), 12 queens: {found}, after {took:.2f} s")
    return took


async def preempted():
    """Give a search of some hours 50 ms, and one of milliseconds as well."""
    found, took = await count(18, 0.05, preemptio.timeout)
    print(f"preemptio.timeout(0.05), 18 queens: {found}, after {took:.2f} s")
    easy, _ = await count(6, 5.0, preemptio.timeout)
    print(f"preemptio.timeout(5.0), 6 queens: {easy} solutions")

    cleaned_up = []

    async def search():
        try:
            return queens(18)
        finally:
            cleaned_up.append(True)

    task = preemptio.go(search, cancel="safepoint")
    await asyncio.sleep(0.05)  # the search computes meanwhile
    task.cancel()
    await asyncio.wait([task])
    print(f"task.cancel(): cancelled {task.cancelled()}, its finally block ran {bool(cleaned_up)}")
    return found is None and took < 1.0


if __name__ == "__main__":
    asyncio.run(plain())
    print("the search was stopped:", preemptio.run(preempted()))
