"""The flight recorder's memory over a long run: `python -m benchmarks.flight [--minutes 30] [--events N]`.

A program that does what is recorded as fast as it can: tasks that are made and end with names of their own, queues,
hogs that are preempted, suspensions, regions with names of their own, and a dump of the ring now and then. What is
looked at is whether the recorder stays within its bytes, by its own count, and whether the process's memory, once the
ring is full, grows by more than a dump. It makes some 40,000 records a second; with --events the run ends after so
many.

The exit code is 1 when a bound was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import tempfile
import time
from collections.abc import Sequence

import preemptio
from preemptio import trace
from preemptio._observe._trace._flight import flights
from preemptio._observe._trace._ring import SIZE

SLACK = 4 << 20
"""Bytes that the process's memory may move by itself, once the ring is full: the allocator's, not the recorder's."""


def rss() -> int:
    """Return the bytes of memory that the process has now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def request(queue: asyncio.Queue[int], number: int) -> None:
    """Be a task with a name of its own, which waits for another."""
    with trace.region(f"request {number}"):
        await queue.get()
    trace.log(f"request {number} has ended")


def computes() -> int:
    """Compute for some slices."""
    total = 0
    for n in range(60_000):
        total += n
    return total


async def round_of(number: int) -> None:
    """Do some of everything."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    tasks = [asyncio.create_task(request(queue, n), name=f"request {n}") for n in range(number, number + 50)]
    hogs = [preemptio.go(computes) for _ in range(2)]
    await asyncio.sleep(0)
    async with preemptio.suspended(tasks[0].g):
        for n in range(50):
            queue.put_nowait(n)
            await asyncio.sleep(0)
    await asyncio.gather(*tasks, *hogs)
    for _ in range(500):
        await asyncio.sleep(0)


async def fly(minutes: float, events: int, max_bytes: int) -> bool:
    """Record until the time or the records are used up; return whether the bounds were kept."""
    trace.start(seconds=3600, max_bytes=max_bytes)
    (flight,) = flights(asyncio.get_running_loop())
    end = time.monotonic() + minutes * 60
    number, full_at, most, kept, shown = 0, 0, 0, True, 0.0
    print(f"{'records':>12} {'recorder':>10} {'process':>10}   (bytes in MiB; may take {max_bytes / 2**20:.0f})")
    with tempfile.TemporaryDirectory() as place:
        while time.monotonic() < end:
            for _ in range(20):
                await round_of(number)
                number += 50
                kept = kept and flight.ring.held() <= max_bytes
            records = flight.ring.dropped + flight.ring.held() // SIZE
            if not full_at and flight.ring.dropped:
                trace.dump(f"{place}/warm.ptrace")  # a dump takes as much again: before the mark, too
                gc.collect()
                full_at = rss()
            most = max(most, rss()) if full_at else 0
            if time.monotonic() > shown:
                shown = time.monotonic() + max(1.0, minutes * 60 / 40)
                print(f"{records:>12} {flight.ring.held() / 2**20:>10.2f} {rss() / 2**20:>10.2f}", flush=True)
                if full_at:
                    trace.dump(f"{place}/now.ptrace")
            if events and records >= events:
                break
    trace.stop()
    grown = most - full_at if full_at else 0
    print(f"{records} records; the process grew by {grown / 2**20:.2f} MiB since the ring was full")
    print("the recorder kept its bound" if kept else "THE RECORDER TOOK MORE THAN IT MAY")
    if not full_at:
        print("the ring was never full: give it more --minutes, more --events or less --bytes")
    return kept and bool(full_at) and grown <= SLACK + max_bytes  # a dump's copy


def main(arguments: Sequence[str] | None = None) -> int:
    """Fly; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flight", description="Record for a long time.")
    parser.add_argument("--minutes", type=float, default=30, help="how long (default: 30)")
    parser.add_argument("--events", type=int, default=0, help="end after so many records (default: by time only)")
    parser.add_argument("--bytes", type=int, default=8 << 20, help="what the recorder may take (default: 8388608)")
    args = parser.parse_args(arguments)
    return 0 if preemptio.run(fly(args.minutes, args.events, args.bytes)) else 1


if __name__ == "__main__":
    sys.exit(main())
