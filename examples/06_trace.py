"""What the scheduler did, in a file that a browser shows: who ran, who waited for whom, who was preempted.

    python examples/06_trace.py            writes trace.json to a temporary directory and looks into it
    python examples/06_trace.py DIRECTORY  keeps it there: open it in https://ui.perfetto.dev

Two tasks parse source files, a third counts what they find, and a fourth wants to beat every 5 ms. The same, of any
program and without a change to it: python -m preemptio trace run -o trace.json script.py
"""

import ast
import asyncio
import collections
import json
import os
import sys
import tempfile

import preemptio
from preemptio import trace

FILES = [os.path.join(os.path.dirname(ast.__file__), name) for name in ("ast.py", "typing.py", "enum.py", "shlex.py")]


def parse(path):
    """Return the functions of a file and how many nodes each has: C code first, then pure Python."""
    with trace.region("read"), open(path, encoding="utf-8") as file:
        text = file.read()
    with trace.region("parse"):
        tree = ast.parse(text)
    with trace.region("walk"):
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        return {node.name: sum(1 for _ in ast.walk(node)) for node in functions}


async def parser(paths, found):
    """Parse file after file."""
    while paths:
        path = paths.pop()
        trace.log(f"next is {os.path.basename(path)}")
        await found.put(parse(path))


async def counter(found, files):
    """Return the largest functions of all files."""
    sizes = collections.Counter()
    for _ in range(files):
        sizes.update(await found.get())
    return sizes.most_common(3)


async def beats():
    """Beat until cancelled."""
    while True:
        await asyncio.sleep(0.005)


async def main(directory):
    """Record all of it."""
    trace.start(seconds=10)
    paths, found = list(FILES), asyncio.Queue()
    heart = asyncio.create_task(beats(), name="heart")
    workers = [asyncio.create_task(parser(paths, found), name=f"parser {n}") for n in (1, 2)]
    largest = await asyncio.create_task(counter(found, len(FILES)), name="counter")
    await asyncio.gather(*workers)
    heart.cancel()
    print("largest functions:", *(f"{name} ({nodes} nodes)" for name, nodes in largest))
    return trace.dump(os.path.join(directory, "trace.json"))


def show(path):
    """Say from the file what a viewer would show: Chrome's trace-event format, an array of spans and marks."""
    with open(path, encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    names = {(each["pid"], each["tid"]): each["args"]["name"] for each in events if each["name"] == "thread_name"}
    spent = collections.Counter()
    for each in events:
        if each["ph"] == "X":
            spent[names.get((each["pid"], each["tid"]), ""), each["name"]] += each["dur"] / 1000
    for (who, what), milliseconds in spent.most_common(8):
        print(f"{milliseconds:9.2f} ms  {who}: {what}")
    return len(events)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        path = preemptio.run(main(sys.argv[1] if sys.argv[1:] else temporary))
        print(f"{show(path)} events in {os.path.basename(path)}")
