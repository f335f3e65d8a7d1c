"""Tasks that nothing can wake any more: found, with what they keep alive, and the bug that made them.

    python examples/04_leak_hunt.py

An index of source files: subscribers get each file from a queue of their own, and count its words. Who unsubscribes
is forgotten, with the queue; but the task waits for that queue for ever, and keeps all that it has counted. In
production this is memory that grows for weeks.
"""

import asyncio
import collections
import os
import re

import preemptio
from preemptio import scan

FILES = [os.path.join(os.path.dirname(asyncio.__file__), name) for name in ("events.py", "tasks.py", "streams.py")]


class Index:
    """Sends texts to whoever has subscribed."""

    def __init__(self):
        self.subscribers = {}

    def subscribe(self, name, pattern):
        """Count what fits a pattern in all texts from now on."""
        queue = asyncio.Queue()
        task = asyncio.create_task(count(queue, pattern), name=name)
        self.subscribers[name] = queue, task

    def unsubscribe(self, name):
        """Stop counting. The bug: the queue is dropped, and nobody tells the task."""
        del self.subscribers[name]

    def unsubscribe_well(self, name):
        """Stop counting."""
        _queue, task = self.subscribers.pop(name)
        task.cancel()

    async def publish(self, path):
        """Send a file to everybody, and wait until they have counted it."""
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for queue, _ in self.subscribers.values():
            queue.put_nowait(text)
        await asyncio.gather(*(queue.join() for queue, _ in self.subscribers.values()))


async def count(queue, pattern):
    """Count what fits, text after text, and remember where it was."""
    places = collections.defaultdict(list)
    while True:
        text = await queue.get()
        for match in re.finditer(pattern, text):
            places[match.group()].append((match.start(), match.end()))
        queue.task_done()


async def run(forget):
    """Let three subscribe, two of them for a while; return what was lost."""
    index = Index()
    for name, pattern in (("names", r"[a-z_]+"), ("numbers", r"[0-9]+"), ("classes", r"[A-Z][A-Za-z]+")):
        index.subscribe(name, pattern)
    for path in FILES:
        await index.publish(path)
    for name in ("names", "classes"):
        forget(index, name)
    await asyncio.sleep(0)
    return index, await scan.leaks()


async def main():
    """Run it with the bug, look at what is found, and run it without."""
    index, leaks = await run(Index.unsubscribe)
    report = await scan.retained()
    for leak in sorted(leaks, key=lambda leak: leak.name):
        kept = report.of(leak.g.task).size
        print(f"leaked: {leak.name}, waits for {leak.wait_reason}, keeps {'much' if kept > 50_000 else 'little'} alive")
        print(f"  created at {leak.created_at.rpartition('/')[2]}")
    print(leaks[0])
    print("still subscribed and not leaked:", *index.subscribers)
    for leak in leaks:
        leak.g.task.cancel()  # works as ever
    _, leaks = await run(Index.unsubscribe_well)
    print("leaked without the bug:", len(leaks))


if __name__ == "__main__":
    preemptio.run(main())
