"""Hogs that are stopped by the tick in the middle of everything, and read where they stand.

The tick stops them with the interpreter's stack pointer in a register: which slots are live is computed.

Exit: 0
"""

import asyncio
import functools
import gc
import weakref

from _common import Flag, run

import preemptio
from preemptio._scan._roots import roots_of

READS = 400


class Thing:
    def __init__(self, things):
        things.append(weakref.ref(self))


def take(*args, **_names):
    return len(args)


def count(n):
    total = 0
    for k in range(n):
        total += k
    return total


def generate(n):
    for k in range(n):
        yield count(k % 50)


def plain(things, n):
    thing = Thing(things)
    return take(1, [count(n), {"x": (count(n), thing)}], thing), take(Thing(things), count(n), Thing(things))


def called_back(things, n):
    thing = Thing(things)
    found = sorted(map(count, (n, 3, n + 1)), key=lambda _: count(n) and id(thing))
    return found, functools.reduce(lambda a, b: a + count(b % 50), range(20)), list(generate(20)), sum(generate(9))


def handled(things, n):
    thing = Thing(things)
    for k in (1, 2, count(n)):
        try:
            with memoryview(b"x" * (k % 9 + 1)) as view:
                if count(n) % 2:
                    raise KeyError(view[0], count(n))
        except KeyError as exc:
            take(exc, *[count(n) for _ in range(3)], thing=thing)
        finally:
            f"{count(n)}{count(n):>{count(3)}}"


def named(things, n):
    thing = Thing(things)

    class Body:
        x = count(n)
        y = thing is count(n)  # not kept: a class is a cycle

    by_dictionary = {"a": count(n), "b": thing}
    return Body, take(**by_dictionary), [*generate(9), *map(count, (1, n))], count(n) < count(n + 1) < n


def hog(kind, things, flag):
    n = 0
    while not flag.stop:
        n += 1
        kind(things, n % 200)
        things[:-9] = []


def told(alive, held, state):
    """Say which of the things that are alive was not found, and who refers to it."""
    keepers = [[repr(keeper)[:200] for keeper in gc.get_referrers(thing)] for thing in alive]
    return f"{[id(thing) in held for thing in alive]} {keepers} {preemptio.stack(state)}"


async def main():
    flag = Flag()
    hogs = {}
    for kind in (plain, called_back, handled, named):
        things = []
        hogs[preemptio.go(hog, kind, things, flag)] = things
    seen = dict.fromkeys(hogs, 0)
    checked = reads = 0
    while reads < READS:
        for task, things in hogs.items():
            while task.g.slices == seen[task]:
                await asyncio.sleep(0)
            seen[task] = task.g.slices
            async with preemptio.suspended(task) as state:
                assert preemptio.stack(state).frames
                roots = roots_of(task.g)
                reads += 1
                held = {id(root.obj) for root in roots}
                alive = [thing() for thing in things if thing() is not None]
                if task.g.parked and alive and type(alive[-1]) is Thing:
                    checked += 1
                    assert id(alive[0]) in held, told(alive, held, state)
                del roots, alive
    flag.stop = True
    await asyncio.gather(*hogs)
    assert checked > 100, (checked, reads)
    gc.collect()
    assert not [thing for things in hogs.values() for thing in things if thing() is not None]


run(main())
print("OK")
