"""Plain functions as goroutines: go() starts them, wait() lets them wait, and none of them is a coroutine.

    python examples/11_goroutines.py

Readers take file names from a queue, count what kinds of tokens the files consist of, and send the counts to a
collector. All run in one thread, each on a stack of its own; wait() parks a stack, not the thread.
"""

import asyncio
import collections
import heapq
import os
import time
import token
import tokenize

import preemptio

FILES = [os.path.join(os.path.dirname(heapq.__file__), name) for name in ("heapq.py", "textwrap.py", "shlex.py")]
READERS = 2


def tokens_of(path):
    """Count a file's tokens by kind: pure Python that never awaits."""
    with open(path, "rb") as file:
        return collections.Counter(token.tok_name[found.type] for found in tokenize.tokenize(file.readline))


def reader(names, results):
    """Count file after file until there are no more. A plain function: it can be called, and tested, without a loop."""
    done = 0
    while (path := preemptio.wait(names.get())) is not None:
        preemptio.wait(results.put((os.path.basename(path), tokens_of(path))))
        done += 1
    return done


def collect(results, n):
    """Add up n results."""
    total = collections.Counter()
    for _ in range(n):
        name, counts = preemptio.wait(results.get())
        print(f"  {name:12} {counts['NAME']:5} names {counts['OP']:5} operators")
        total += counts
    return total


async def beats(seen):
    """Count in the background, to show that nobody blocks the thread."""
    while True:
        await asyncio.sleep(0.005)
        seen.append(time.perf_counter())


async def main():
    """Start the goroutines; await what they return."""
    names, results, seen = asyncio.Queue(), asyncio.Queue(maxsize=1), []
    heart = asyncio.create_task(beats(seen))
    readers = [preemptio.go(reader, names, results, name=f"reader-{i}") for i in range(READERS)]
    collector = preemptio.go(collect, results, len(FILES))
    for path in [*FILES, *[None] * READERS]:
        await names.put(path)
    total = await collector
    done = sum([await task for task in readers])
    heart.cancel()
    print(f"{done} files by {READERS} readers: {total.total()} tokens")
    print("other tasks ran meanwhile:", len(seen) > 0)


if __name__ == "__main__":
    preemptio.run(main())
