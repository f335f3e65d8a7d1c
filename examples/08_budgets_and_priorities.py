"""Who gets how much of the CPU: nice for a share, a budget for a task, a block or a group, and what happens beyond it.

    python examples/08_budgets_and_priorities.py

The work is in pure Python: points are sorted into clusters (k-means), and a template is filled in, for many customers.
"""

import asyncio
import random
import string
import time

import preemptio

LETTER = string.Template("Dear $name,\nyour $count orders came to $total. $thanks\n\nYours, the shop\n")


def letters(customers):
    """Return how long the letters to so many customers are."""
    length = 0
    for n in range(customers):
        thanks = "Thank you!" if n % 3 else "We hope to see you more often."
        length += len(LETTER.substitute(name=f"customer {n}", count=n % 7, total=f"{n * 1.17:.2f}", thanks=thanks))
    return length


def cluster(points, k, seconds):
    """Refine k centres for some seconds; return how many rounds that were."""
    centres, rounds, until = points[:k], 0, time.monotonic() + seconds
    while time.monotonic() < until:
        groups = [[] for _ in centres]
        for x, y in points:
            groups[min(range(k), key=lambda i: (centres[i][0] - x) ** 2 + (centres[i][1] - y) ** 2)].append((x, y))
        centres = [
            (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) if group else centre
            for group, centre in zip(groups, centres, strict=True)
        ]
        rounds += 1
    return rounds


async def shares(points):
    """Run the same work twice at a time: each step of nice is a fifth less of the CPU."""
    first = preemptio.go(cluster, points, 4, 1.0, nice=-5)
    last = preemptio.go(cluster, points, 4, 1.0, nice=5)
    rounds = await first, await last
    print(f"nice -5: {rounds[0]} rounds, nice 5: {rounds[1]} rounds; more for the first: {rounds[0] > rounds[1]}")


async def task_over_its_budget():
    """Give a task 50 ms of CPU: it is ended where it stands."""
    task = preemptio.go(letters, 10**9, cpu_limit=0.05)
    try:
        await task
    except preemptio.CPULimitError as exc:
        print(f"one task: {exc}")


async def block_with_a_limit():
    """Count what a block uses, with the tasks that it starts: not what others use meanwhile."""
    other = preemptio.go(letters, 10_000)
    async with preemptio.cpu_limit(10.0) as cpu:
        length = await preemptio.go(letters, 20_000)
        await asyncio.sleep(0.01)  # time that it waits does not count
    await other
    print(f"a block: {length} characters, within its limit: {0 < cpu.used < 10}")


async def group_with_a_limit():
    """Share one budget among the tasks of a group; when it is spent all of them end."""
    try:
        async with preemptio.TaskGroup(cpu_limit=0.2, nice=5) as group:
            for _ in range(3):
                group.go(letters, 10**9)
    except* preemptio.CPULimitError as errors:
        print(f"a group of three: {errors.exceptions[0]}")


async def main():
    """Show one after the other."""
    rng = random.Random(7)
    await shares([(rng.gauss(rng.choice((0, 5, 9)), 1), rng.gauss(rng.choice((1, 6)), 1)) for _ in range(300)])
    await task_over_its_budget()
    await block_with_a_limit()
    await group_with_a_limit()


if __name__ == "__main__":
    preemptio.run(main())
