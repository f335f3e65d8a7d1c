"""What a scan of a large heap costs the program that runs on beside it.

A ticker sleeps a millisecond at a time while `scan.leaks()` and `scan.retained()` walk a heap of five million
objects. Its lateness is measured in slices, samples that the machine disturbed left out as in `latency`. The pause is
the stretch at the end in which nothing else runs, beside a thousand Gs, a tenth of them leaked. Throughput is in
millions of objects that the garbage collector knows, a second; its own full collection of the same heap, which nothing
interrupts, stands beside it. So do objgraph, Pympler and guppy where they are installed (`preemptio[bench]`), each for
what comes closest, on a heap of a million objects: the loop stands still while they look.

How it grows: a smaller heap, and ten times as many Gs on one that is smaller still.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import _quiet
from benchmarks._harness import Options, Promise, Row, Skipped, interleaved, percentile
from benchmarks._work import Late, tick
from benchmarks._worker import Side
from benchmarks.latency import undisturbed

SLICE = 0.001
GS = 1_000

PROMISES = tuple(
    promise
    for what in ("leaks", "retained")
    for promise in (
        Promise(f"{what}: lateness p99", "<=", 2.0, "slices"),
        Promise(f"{what}: pause, {GS} Gs", "<=", 5.0, "ms"),
    )
)

HEAP: list[Record] = []


class Record:
    """Three objects that refer to others: itself, a tuple and a list."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = f"record {number % 100}"
        self.pair = (number, [number])


def measure(side: Side, what: str, objects: int, gs: int = GS) -> dict[str, Any]:
    """Return lateness, pause and throughput of one scan, and the seconds of a collection."""
    if not HEAP:
        gc.disable()
        HEAP.extend(Record(number) for number in range(objects // 3))
        gc.enable()
    gc.unfreeze()
    start = time.perf_counter()
    gc.collect()
    collecting = time.perf_counter() - start
    gc.freeze()  # else a collection of the heap in the middle is what the ticker sees
    if what == "others":
        gc.unfreeze()  # they do not see what is frozen
        return {"objects": objects} | {name: seconds for name, look in OTHERS.items() for seconds in look()}
    _quiet.drop("LEAKED")  # it makes a hundred on purpose
    return side.run(scanned, what, gs) | {"collecting": collecting, "objects": objects}  # type: ignore[no-any-return]


def _objgraph() -> Iterator[float]:
    """Count the objects by type."""
    with contextlib.suppress(ImportError):
        import objgraph

        yield _seconds(objgraph.typestats)


def _pympler() -> Iterator[float]:
    """Measure what one list keeps alive."""
    with contextlib.suppress(ImportError):
        from pympler.asizeof import asizeof

        yield _seconds(asizeof, HEAP)


def _guppy() -> Iterator[float]:
    """Measure what is reachable from the root, by type."""
    with contextlib.suppress(ImportError):
        from guppy import hpy

        heap = hpy()
        yield _seconds(lambda: heap.heap().size)


def _seconds(fn: Callable[..., object], *args: object) -> float:
    start = time.perf_counter()
    fn(*args)
    return time.perf_counter() - start


OTHERS = {"objgraph.typestats()": _objgraph, "pympler.asizeof()": _pympler, "guppy.heap()": _guppy}


async def scanned(what: str, gs: int) -> dict[str, Any]:
    """Scan once, beside the ticker and the Gs."""
    from preemptio import scan
    from preemptio.lowlevel import pauses

    reachable = asyncio.Event()
    tasks = [asyncio.create_task(_wait(reachable if n % 10 else asyncio.Event())) for n in range(gs)]
    late: list[Late] = []
    stop = asyncio.Event()
    ticker = asyncio.create_task(tick(0.001, late, stop))
    await asyncio.sleep(0.1)
    late.clear()
    before = pauses().get("scan")
    start = time.perf_counter()
    found = await (scan.leaks() if what == "leaks" else scan.retained())
    seconds = time.perf_counter() - start
    stop.set()
    assert what != "leaks" or len(found) == gs // 10, len(found)  # type: ignore[arg-type]
    for task in tasks:
        task.cancel()
    await asyncio.gather(ticker, *tasks, return_exceptions=True)
    paused = pauses()["scan"].total - (before.total if before else 0.0)
    return {"late": late, "pause": paused, "seconds": seconds}


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


def run(opt: Options) -> Iterator[Row | Skipped]:
    """Scan a heap of full size, and one of a fifth, for each loop."""
    sizes = round(opt.scale(1e6, 2e5)), round(opt.scale(5e6, 1e6))
    for objects in sizes:
        for what in ("leaks", "retained"):
            sides = {loop: Side("preempted", loop, SLICE) for loop in opt.loops}
            params = {"what": what, "objects": objects}
            measured = interleaved(__name__, sides, params, min(opt.rounds, 2), turns=1, warm=0)
            for loop, rounds in measured.items():
                yield from rows(what, loop, rounds, full=objects == max(sizes))
    sides = {loop: Side("preempted", loop, SLICE) for loop in opt.loops}
    for gs in (GS, 10 * GS):
        params = {"what": "leaks", "objects": 100_000, "gs": gs}
        for loop, rounds in interleaved(__name__, sides, params, min(opt.rounds, 2), turns=1, warm=0).items():
            pause, seconds = (statistics.median(one[key] for one in rounds) * 1e3 for key in ("pause", "seconds"))
            yield Row(f"leaks: pause, {gs} Gs, 0.1m objects", loop, pause, f"in all {seconds:.0f} ms", "ms")
    yield from others(round(opt.scale(1e6, 2e5)))


def others(objects: int) -> Iterator[Row | Skipped]:
    """Show what other tools take for the same heap."""
    measured = interleaved(__name__, {"asyncio": Side("bare")}, {"what": "others", "objects": objects}, 1, 1, 0)
    for one in measured["asyncio"]:
        for name in OTHERS:
            if name in one:
                yield Row(f"{name}: objects", "asyncio", objects / one[name] / 1e6, "the loop stands still", "m/s")
            else:
                yield Skipped(name, "not installed. Type: pip install 'preemptio[bench]'")


def rows(what: str, loop: str, rounds: list[dict[str, Any]], *, full: bool) -> Iterator[Row]:
    """Judge the full heap; show how the smaller one compares."""
    objects = rounds[0]["objects"]
    size = "" if full else f", {objects / 1e6:g}m objects"
    late = [undisturbed([tuple(each) for each in one["late"]]) or [0.0] for one in rounds]
    p99 = statistics.median(percentile(each, 0.99) for each in late)
    note = f"max {max(map(max, late)):.1f}, n {sum(map(len, late))}"
    yield Row(f"{what}: lateness p99{size}", loop, p99, note, "slices")
    pause = statistics.median(one["pause"] for one in rounds) * 1e3
    yield Row(f"{what}: pause, {GS} Gs{size}", loop, pause, "", "ms")
    speed = statistics.median(objects / one["seconds"] for one in rounds) / 1e6
    collecting = statistics.median(objects / one["collecting"] for one in rounds) / 1e6
    yield Row(f"{what}: objects{size}", loop, speed, f"gc.collect() {collecting:.1f}", "m/s")
