"""What the other things cost that a program does without thinking: wait, timers, importing, being switched.

`step`, `micro`, `echo` and `memory` have the rest. A figure is against the stock loop where that has the same thing.
Where it has not, the figure is in steps of the same loop, measured in the same turn: it is the same everywhere.
pyperf is not used: it measures one thing well, in many processes one after the other, and has no way to measure two in
turns. On a machine that gets slower by a third while it runs, a ratio of two such figures is off by that third.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator

from benchmarks._harness import Options, Promise, Row, cost_ratio, interleaved, ratio
from benchmarks._work import Spent, now, since
from benchmarks._worker import Side

PROMISES: tuple[Promise, ...] = (
    Promise("timers", "<=", 1.3, "x stock", ("asyncio",)),
    Promise("timers", "<=", 2.7, "x stock", ("uvloop",)),  # as a step beside 100: the timer's wake-up is one
    Promise("suspend and resume", "<=", 5.0, "steps"),
    Promise("switch", "<=", 20.0, "steps"),
    Promise("import", "<=", 3.0, "x asyncio, greenlet and structlog", ("python",)),
)


def measure(side: Side, what: str, count: int) -> Spent | tuple[float, float]:
    """Return what `count` of it take, by both clocks, or what each takes and what a step takes."""
    return side.run(TIMED[what], count, side.kind == "preempted")  # type: ignore[no-any-return]


async def timers(count: int, _preempted: bool) -> Spent:
    """Arm timers and let them fire: a hundred sleeping tasks at a time."""

    async def sleeps() -> None:
        for _ in range(count // 100):
            await asyncio.sleep(1e-6)

    start = now()
    await asyncio.gather(*[sleeps() for _ in range(100)])
    return since(start)


async def timeouts(count: int, _preempted: bool) -> Spent:
    """Arm timers that never fire: what a deadline around an answer costs that comes."""
    start = now()
    for _ in range(count):
        async with asyncio.timeout(60):
            pass
    return since(start)


async def waits(count: int, preempted: bool) -> Spent:
    """Wait in a plain function, or await the same on the stock loop, which cannot."""
    start = now()
    if preempted:
        import preemptio

        def plain() -> None:
            for _ in range(count):
                preemptio.wait(asyncio.sleep(0))

        await preemptio.go(plain)
    else:

        async def awaits() -> None:
            for _ in range(count):
                await asyncio.sleep(0)

        await asyncio.create_task(awaits())
    return since(start)


async def suspends(count: int, _preempted: bool) -> tuple[float, float]:
    """Hold a task that waits and let it go again; return the CPU seconds of that, and those of as many steps."""
    import preemptio

    waiting = preemptio.go(asyncio.get_running_loop().create_future)
    await asyncio.sleep(0)
    start = now()
    for _ in range(count):
        preemptio.resume_g(await preemptio.suspend_g(waiting))
    held = since(start)
    start = now()
    for _ in range(count):
        await asyncio.sleep(0)
    steps = since(start)
    waiting.cancel()
    return held[1], steps[1]


async def switches(count: int, _preempted: bool) -> tuple[float, float]:
    """Have two tasks hand over to each other in mid-step; return CPU seconds, and those of as many steps."""
    import preemptio

    def hands_over() -> None:
        for _ in range(count // 2):
            preemptio.charge(1000)  # its slice is used up, whatever the clock says

    async def steps() -> None:
        for _ in range(count // 2):
            await asyncio.sleep(0)

    spent = []
    for body in (hands_over, steps):
        start = now()
        await asyncio.gather(*[preemptio.go(body) for _ in range(2)])
        spent.append(since(start)[1])
    return spent[0], spent[1]


TIMED: dict[str, Callable[[int, bool], Awaitable[tuple[float, float]]]] = {
    "timers": timers,
    "timeout that does not pass": timeouts,
    "wait": waits,
    "suspend and resume": suspends,
    "switch": switches,
}


def run(opt: Options) -> Iterator[Row]:
    """Measure with each loop, and the import, which has none."""
    turns = 2 if opt.quick else 7
    for loop in opt.loops:
        ours, stock = Side("preempted", loop), Side("stock", loop)
        for what in ("timers", "timeout that does not pass", "wait"):
            params = {"what": what, "count": int(opt.scale(20_000, 3_000))}
            took = interleaved(__name__, {"ours": ours, "stock": stock}, params, opt.rounds, turns)
            value, note = cost_ratio(took["ours"], took["stock"])
            each = [statistics.median(cpu for _, cpu in took[side]) / params["count"] * 1e6 for side in took]
            yield Row(what, loop, value, f"{each[0]:.2f} against {each[1]:.2f} us, {note}", "x stock")
        for what in ("suspend and resume", "switch"):
            params = {"what": what, "count": int(opt.scale(5_000, 2_000))}
            pairs = interleaved(__name__, {"ours": ours}, params, opt.rounds, turns)["ours"]
            value, note = ratio([cpu for cpu, _ in pairs], [steps for _, steps in pairs])
            us = statistics.median(cpu for cpu, _ in pairs) / params["count"] * 1e6
            yield Row(what, loop, value, f"{us:.1f} us, {note}", "steps")
    yield import_row(opt)


IMPORTS = {"ours": "import preemptio", "theirs": "import asyncio, greenlet, structlog"}


def import_row(opt: Options) -> Row:
    """Compare the CPU time of importing this library with that of importing what it needs."""
    took: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for turn in range(-1, int(opt.scale(15, 7))):
        for name in IMPORTS if turn % 2 else reversed(IMPORTS):
            seconds = _cpu_of(IMPORTS[name]) - _cpu_of("pass")
            if turn >= 0:  # the first one writes the byte code
                took[name].append(seconds)
    value, note = ratio(took["ours"], took["theirs"])
    ms = [statistics.median(took[name]) * 1e3 for name in IMPORTS]
    return Row("import", "python", value, f"{ms[0]:.0f} against {ms[1]:.0f} ms, {note}", PROMISES[-1].unit)


def _cpu_of(program: str) -> float:
    """Return the CPU seconds of a Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
