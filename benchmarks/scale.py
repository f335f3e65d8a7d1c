"""How the costs grow: with the number of Gs, of preempted Gs, and with the depth of their stacks.

Each cost is one thing's (a task, a switch), so that a flat line is what one hopes for. Its growth is the slope b of
cost = a * size**b, fitted through the logarithms in each round; the rounds give the interval. A slope of 0 says that
size costs nothing, one of 1 that each thing costs as much as there are things. Tasks on the stock loop stand beside:
what does not fit into a cache is slower there, too.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
from collections.abc import Iterator

from benchmarks._harness import Options, Promise, Row, Skipped
from benchmarks._stats import median_of, slope
from benchmarks._work import now, since
from benchmarks._worker import Side, Worker
from benchmarks.memory import resident

G_BYTES = 6_000
"""Room for a G, its task, its frame and its future, with some to spare: what decides how many are tried."""

PARKED_BYTES = 40_000

SIZES = {
    "Gs": (10, 100, 1_000, 10_000, 100_000, 1_000_000),
    "parked Gs": (1, 10, 100, 1_000, 10_000),
    "frames deep": (1, 10, 100, 500),
}
COSTS = {
    "Gs": {"start": "us", "step": "us", "memory": "KB"},
    "parked Gs": {"switch": "us", "memory": "KB"},
    "frames deep": {"switch": "us", "memory": "KB"},
}

PROMISES = (
    Promise("growth of step, Gs", "<=", 0.15, "slope"),
    Promise("growth of switch, parked Gs", "<=", 0.25, "slope"),
)

SWITCHES = 2_000


def measure(side: Side, axis: str, size: int) -> list[float]:
    """Return the costs of one of `size` things, in the order of COSTS."""
    if axis == "Gs":
        return side.run(many, size)  # type: ignore[no-any-return]
    return side.run(parked, size if axis == "parked Gs" else 20, size if axis == "frames deep" else 1)  # type: ignore[no-any-return]


async def many(size: int) -> list[float]:
    """Start so many tasks, weigh them while they wait, and have each take some steps."""
    steps = max(3, 20_000 // size)
    loop = asyncio.get_running_loop()
    gate, end = loop.create_future(), loop.create_future()
    left, clocks = size, []

    async def member() -> None:
        nonlocal left
        await gate
        if not clocks:
            clocks.append(now())
        for _ in range(steps):
            await asyncio.sleep(0)
        left -= 1
        if not left:
            clocks.append(since(clocks[0]))
            end.set_result(None)

    gc.disable()  # a collection of a million tasks is Python's, and comes when it likes
    before, start = resident(), now()
    tasks = [asyncio.create_task(member()) for _ in range(size)]
    await asyncio.sleep(0)  # all have begun, and wait
    starting = since(start)[1]
    weight = resident() - before
    gate.set_result(None)
    await end
    while not tasks[-1].done():
        await asyncio.sleep(0)
    return [starting / size * 1e6, clocks[1][1] / (size * steps) * 1e6, weight / size / 1024]


async def parked(size: int, depth: int) -> list[float]:
    """Let one more G than that hand over to each other in the middle of their steps, at such a depth of frames."""
    import preemptio

    wanted = max(SWITCHES, 2 * size)
    begun = switches = weight = 0
    gate = asyncio.get_running_loop().create_future()
    clocks: list[tuple[float, float]] = []
    before = resident()

    def body() -> None:
        nonlocal begun, switches, weight
        begun += 1
        if begun > size:
            weight = resident() - before  # all others are in the middle of their step, waiting
            clocks.append(now())
            gate.set_result(None)
        preemptio.wait(gate)
        while switches < wanted:
            preemptio.charge(1000)  # its slice is used up, whatever the clock says
            switches += 1
        clocks.append(since(clocks[0]))

    def descend(left: int) -> None:
        if left > 1:
            descend(left - 1)
        else:
            body()

    await asyncio.gather(*[preemptio.go(descend, depth) for _ in range(size + 1)])
    return [clocks[1][1] / wanted * 1e6, weight / size / 1024]


def affordable(axis: str, size: int) -> str | None:
    """Return why the memory does not suffice, None if it does. Half of what is available may be used."""
    needed = size * (G_BYTES if axis == "Gs" else PARKED_BYTES if axis == "parked Gs" else 20 * (PARKED_BYTES))
    with open("/proc/meminfo") as file:
        available = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    return None if needed < available / 2 else f"{needed >> 20} MB needed, {available >> 20} MB available"


def run(opt: Options) -> Iterator[Row | Skipped]:
    """Take each round's sizes one after the other, smallest first, each in a process of its own."""
    if not os.path.exists("/proc/meminfo"):
        yield Skipped("everything", "only /proc tells what memory there is")
        return
    rounds = min(3, opt.rounds) if opt.quick else opt.rounds
    for loop in opt.loops:
        for axis, sizes in SIZES.items():
            possible = []
            for size in sizes:
                if why := affordable(axis, size):
                    yield Skipped(f"{size} {axis}, {loop}", why)
                elif not (opt.quick and size > 100_000):
                    possible.append(size)
            sides = {loop: Side("preempted", loop)}
            if axis == "Gs":
                sides[f"stock {loop}"] = Side("stock", loop)
            got: dict[str, list[dict[int, list[float]]]] = {name: [] for name in sides}
            for turn in range(rounds):
                for name in sides if turn % 2 == 0 else reversed(sides):
                    got[name].append(_costs(sides[name], axis, possible))
            for name, costs in got.items():
                yield from _rows(name, axis, costs)


def _costs(side: Side, axis: str, sizes: list[int]) -> dict[int, list[float]]:
    costs = {}
    for size in sizes:
        worker = Worker(__name__, side)
        try:
            costs[size] = worker.measure(axis=axis, size=size)
        finally:
            worker.close()
    return costs


def _rows(loop: str, axis: str, rounds: list[dict[int, list[float]]]) -> Iterator[Row]:
    """Yield a row for each size, and one for the growth."""
    for at, (cost, unit) in enumerate(COSTS[axis].items()):
        points = {size: [costs[size][at] for costs in rounds] for size in rounds[0]}
        for size, values in points.items():
            data = {"axis": axis, "cost": cost, "size": size}
            yield Row(f"{cost}, {size} {axis}", loop, median_of(values), f"{len(values)} processes", unit, data)
        # small sizes are all fixed cost, which is no growth; what was not measurable has no logarithm
        usable = [size for size in points if min(points[size]) > 0 and (size >= 100 or axis != "Gs")]
        if len(usable) < 2:
            continue
        slopes = [slope(usable, [points[size][turn] for size in usable]) for turn in range(len(rounds))]
        medians = [statistics.median(points[size]) for size in usable]
        note = f"{medians[0]:.3g} {unit} at {usable[0]}, {medians[-1]:.3g} at {usable[-1]}"
        data = {"axis": axis, "cost": cost, "from": usable[0]}
        yield Row(f"growth of {cost}, {axis}", loop, median_of(slopes), note, "slope", data)
