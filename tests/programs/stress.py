"""About 2,000 preemptions at 200 us: what is computed is what is computed without any.

PREEMPTIO_SLICE=200us
Uninjected: hammered_everywhere does it
Exit: 0
"""

import asyncio
import hashlib
import json
import re

from _common import preempted, run

import preemptio


def numbers(seed, n):
    x = seed
    for _ in range(n):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
        yield x


class Tree:
    def __init__(self):
        self.root = None

    def add(self, key):
        at, node = self.root, [key, None, None]
        if at is None:
            self.root = node
            return
        while True:
            side = 1 if key < at[0] else 2
            if at[side] is None:
                at[side] = node
                return
            at = at[side]

    def walk(self, node):
        if node is not None:
            yield from self.walk(node[1])
            yield node[0]
            yield from self.walk(node[2])


def work(seed):
    found = []
    tree = Tree()
    for x in numbers(seed, 1500):
        tree.add(x)
    found.append(list(tree.walk(tree.root))[::50])
    found.append(sorted(numbers(seed, 1500), key=lambda x: x % 1009)[::50])
    text = " ".join(map(str, numbers(seed, 800)))
    found.append(len(re.sub(r"\d(\d)", lambda match: match[1], text)))
    found.append(
        json.loads(json.dumps({str(x): [x, {"x": x}] for x in numbers(seed, 300)}))[str(next(numbers(seed, 1)))]
    )
    try:
        try:
            raise KeyError(seed)
        except KeyError as exc:
            raise ValueError(sum(numbers(seed, 2000))) from exc
    except ValueError as exc:
        found.append((exc.args, exc.__cause__.args))
    return hashlib.sha256(repr(found).encode()).hexdigest()


async def main():
    with preemptio.nopreempt("the result to compare with"):
        expected = [work(seed) for seed in range(8)]
    count = 0
    while count < 2000:
        tasks = [preemptio.go(work, seed) for seed in range(8)]
        assert await asyncio.gather(*tasks) == expected
        count += sum(map(preempted, tasks))


run(main())
print("OK")
