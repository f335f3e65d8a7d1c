"""What a task weighs: one that waits, and one that was preempted in the middle of its step.

A waiting task should weigh what it does in asyncio, plus its G: it has no stack of its own. A preempted one keeps a
greenlet, the piece of C stack that was copied aside and a chunk of Python frames. Only resident pages count, read
from /proc by a fresh process for each variant: an allocator gives nothing back, so a second variant would be free.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
from collections.abc import Iterator

from benchmarks._harness import Options, Promise, Row, interleaved, ratio
from benchmarks._stats import median_of
from benchmarks._work import unit
from benchmarks._worker import Side

PROMISES = (
    Promise("a parked task", "<=", 1.3, "x stock"),
    Promise("a preempted G", "<=", 20.0, "KB"),
)


def resident() -> int:
    """Return the bytes of this process's resident pages."""
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(side: Side, what: str, count: int) -> float:
    """Return the bytes for each of `count` parked tasks or preempted Gs."""
    body = parked_tasks if what == "parked" else preempted_tasks
    return side.run(body, count)  # type: ignore[no-any-return]


async def wait_for(future: asyncio.Future[None]) -> None:
    """Wait, as nearly every task of a service does nearly all the time."""
    await future


async def parked_tasks(count: int) -> float:
    """Park each task on a future of its own."""
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in range(count)]
    before = resident()
    tasks = [loop.create_task(wait_for(future)) for future in futures]
    await asyncio.sleep(0.05)
    after = resident()
    for future in futures:
        future.set_result(None)
    await asyncio.gather(*tasks)
    return (after - before) / count


async def preempted_tasks(count: int) -> float:
    """Count while every hog is in the middle of its step: all have begun, none has ended, this task runs."""
    begun = 0
    is_over = False

    async def hog_until_over() -> None:
        nonlocal begun
        begun += 1
        x = 1
        while not is_over:
            x = unit(x)

    await asyncio.sleep(0.05)
    before = resident()
    tasks = [asyncio.create_task(hog_until_over()) for _ in range(count)]
    while begun < count:
        await asyncio.sleep(0.005)
    assert not any(task.done() for task in tasks)
    after = resident()
    is_over = True
    await asyncio.gather(*tasks)
    return (after - before) / count


def run(opt: Options) -> Iterator[Row]:
    """Pair each loop with its stock self; a preempted G has no stock twin."""
    for loop in opt.loops:
        sides = {"ours": Side("preempted", loop), "stock": Side("stock", loop)}
        params = {"what": "parked", "count": int(opt.scale(100_000, 20_000))}
        got = interleaved(__name__, sides, params, opt.rounds, turns=1, warm=0)
        value, note = ratio(got["ours"], got["stock"])
        weights = "{:.0f} against {:.0f} bytes".format(*(statistics.median(values) for values in got.values()))
        yield Row(PROMISES[0].name, loop, value, f"{weights}, {note}", "x stock")

        params = {"what": "preempted", "count": int(opt.scale(1_000, 300))}
        del sides["stock"]
        kilobytes = [b / 1024 for b in interleaved(__name__, sides, params, opt.rounds, turns=1, warm=0)["ours"]]
        note = f"{min(kilobytes):.1f}-{max(kilobytes):.1f} in {len(kilobytes)} processes of {params['count']} Gs"
        yield Row(PROMISES[1].name, loop, median_of(kilobytes), note, "KB")
