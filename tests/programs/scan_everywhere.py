"""Tasks that are stopped at every safe point, held, and read: every stack and every root, over and over.

To read a slot that is not live is a crash. What each place holds must be found wherever its task stands, and must be
gone with it.

Exit: 0
PREEMPTIO_DEBUG=preemptall=1
"""

import asyncio
import gc
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from _common import run

import preemptio
from preemptio._aio._roots import shared_roots
from preemptio._scan._roots import roots_of
from tests.scan import places
from tests.scan.test_roots import OPTIONAL, Future, Made

reads = found = 0


def read(state, made):
    """Look at a task that is held. In a thread, whose lines are not traced."""
    global reads, found
    str(preemptio.stack(state))
    roots = roots_of(state.g)
    reads += 1
    if made.thing is not None and not state.dead:
        assert made.found(roots), (preemptio.stack(state), roots)
        found += 1


async def watch(place, task, made):
    """Hold the task again and again until it has ended."""
    while not task.done():
        async with preemptio.suspended(task) as state:
            await preemptio.blocking(read, state, made)
        await asyncio.sleep(0)
    await task
    del task
    for _ in range(20):  # the loop's last handles of it have its context
        await asyncio.sleep(0)
    assert made.gone(), (place, gc.get_referrers(made.thing))


def turn(rounds):
    """Stop at back edges, entries, in C code's callbacks."""
    total = 0
    for n in rounds:
        total += sum(map(double, [n, n + 1]))
        total += len(sorted([3, 1, 2], key=double))
        total += max(double(each) for each in (1, 2))
    return total


def double(n):
    return n * 2


async def main():
    loop = asyncio.get_running_loop()
    for place in places.PLAIN:
        made = Made()
        await watch(place, preemptio.go(place, made, lambda: turn(range(3))), made)
        made = Made()
        await watch(place, preemptio.go(place, made, lambda: preemptio.wait(asyncio.sleep(0.001))), made)
    for place in places.COROUTINES:
        if place in OPTIONAL:  # to import a library line by line takes long
            continue
        if place is places.anext_with_a_default and sys.version_info < (3, 12):  # see the known gaps in docs/design.md
            continue
        made = Made()

        def future():
            one = Future(loop=loop)
            loop.call_later(0.001, one.set_result, None)
            return one

        await watch(place, preemptio.go(place, made, future), made)
    for root in shared_roots(loop):
        assert root.name


run(main())
assert reads > 200, reads
assert found > 100, found
print("OK")
