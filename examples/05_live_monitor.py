"""A console and a web page for a live program: who has the CPU, why is it not preempted, and what can be done.

    python examples/05_live_monitor.py            somebody on call, by himself
    python examples/05_live_monitor.py --stay     for you: open the page, or: python -m preemptio attach

Three tasks count words, which is plain Python: they share the CPU. Then a task packs all texts in one call of C, which
nobody can preempt: the loop stands still for as long as that takes. Who is on call asks meanwhile, from another
process, and the console answers, with what to do about it.
"""

import asyncio
import collections
import lzma
import os
import re
import subprocess
import sys
import threading

import preemptio
from preemptio import monitor

FOLDER = os.path.dirname(os.path.dirname(asyncio.__file__))
ATTACH = [sys.executable, "-m", "preemptio", "attach"]


def texts():
    """Read the standard library's own source."""
    for name in sorted(os.listdir(FOLDER)):
        if name.endswith(".py"):
            with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
                yield file.read()


def count(pattern, counts, stop):
    """Count what fits, file after file, until told to stop: ordinary code that never awaits."""
    while not stop.is_set():
        for text in texts():
            for line in text.splitlines():
                counts.update(re.findall(pattern, line))
            if stop.is_set():
                return


async def archive():
    """Pack everything, in one call."""
    return lzma.compress("".join(texts()).encode(), preset=9 | lzma.PRESET_EXTREME)


def type_in(port, *commands):
    """Be somebody with a terminal: `preemptio attach`, in a process of its own."""
    words = [*ATTACH, f"127.0.0.1:{port}"]
    return subprocess.run(words, input="\n".join(commands), capture_output=True, text=True, check=True).stdout


def ask_who_is_to_blame(port, over):
    """Ask again and again until it is the archive that has the CPU, or that is over."""
    while "archive" not in (said := type_in(port, "gwhy")) and not over.is_set():
        pass
    return said


async def on_call(port, counters):
    """Look, give one task less CPU, and find out why nothing moves."""
    print(await preemptio.blocking(type_in, port, "gs --sort cpu -n 3"))
    first = counters[0].g.id
    print(await preemptio.blocking(type_in, port, f"gnice {first} 10", f"g {first}"))
    over = threading.Event()
    asking = asyncio.create_task(preemptio.blocking(ask_who_is_to_blame, port, over))
    packed = await asyncio.create_task(archive(), name="archive")
    over.set()
    print(await asking)
    print(f"{len(packed)} bytes were packed; the console answered meanwhile")


async def main():
    """Work, with a monitor."""
    stay, counts, stop = "--stay" in sys.argv, collections.Counter(), asyncio.Event()
    patterns = (r"\bdef (\w+)", r"\bclass (\w+)", r"\bimport (\w+)")
    counters = [preemptio.go(count, pattern, counts, stop, name=f"count {pattern}") for pattern in patterns]
    ports = {} if stay else {"port": 0, "page_port": 0}
    with monitor.start(**ports, record=10.0, announce=stay) as started:
        if stay:
            await asyncio.gather(*counters)
        await on_call(started.port, counters)
    stop.set()
    await asyncio.gather(*counters)
    print("counted most often:", *(name for name, _ in counts.most_common(3)))


if __name__ == "__main__":
    preemptio.run(main())
