"""A chain of ten thousand coroutines, dumped: in two screens, and without recursion.

Uninjected: each stop looks at all frames below, and there are five thousand
Exit: 0
"""

import asyncio
import sys

from _common import run

import preemptio

DEPTH = 5_000
sys.setrecursionlimit(8 * DEPTH)


async def even(n, event):
    await (odd(n - 1, event) if n else event.wait())


async def odd(n, event):
    await even(n - 1, event)


async def same(n, event):
    await (same(n - 1, event) if n else event.wait())


def paragraph(text, name):
    (found,) = [each for each in text.split("\n\n") if f'"{name}"' in each.partition("\n")[0]]
    return found


async def main():
    event = asyncio.Event()
    tasks = [
        asyncio.create_task(even(DEPTH, event), name="deep"),
        asyncio.create_task(same(DEPTH, event), name="same"),
    ]
    while any(str(task.g.status) != "waiting" for task in tasks):
        await asyncio.sleep(0.001)
    sys.setrecursionlimit(500)
    here = preemptio.dump()
    sys.setrecursionlimit(8 * DEPTH)
    for text in (here, await asyncio.to_thread(preemptio.dump, loop=asyncio.get_running_loop(), timeout=0)):
        assert f"... {DEPTH + 2 - 100} frames left out ..." in paragraph(text, "deep"), text
        assert len(paragraph(text, "deep").splitlines()) < 110
        assert f"({DEPTH + 1} times)" in paragraph(text, "same") or f"({DEPTH} times)" in paragraph(text, "same"), text
    event.set()
    await asyncio.gather(*tasks)


run(main())
print("OK")
