"""What the flight recorder costs while it is on: a step.

`await asyncio.sleep(0)` is a step and nothing else, so no program pays more, for its size, than this one. The same
process takes the same steps without and with the recorder in turns. The difference in time is printed, too: it is what
a step of a real program, which is longer, costs more.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks._harness import Options, Promise, Row, interleaved
from benchmarks._stats import median_of
from benchmarks._worker import Side
from benchmarks.step import steps_of

PROMISES = (Promise("a recorded step, 100 tasks", "<=", 6.0, "x not recorded"),)


def measure(side: Side, tasks: int, steps: int) -> tuple[float, float]:
    """Return the nanoseconds of CPU that a step takes without the recorder, and with it."""
    plain = [side.run(steps_of, tasks, steps)[1] for _ in range(2)]
    recorded = [side.run(recorded_steps, tasks, steps) for _ in range(2)]
    return min(plain), min(recorded)


async def recorded_steps(tasks: int, steps: int) -> float:
    """Take the steps while they are recorded."""
    from preemptio import trace

    trace.start(max_bytes=4 << 20)
    try:
        return (await steps_of(tasks, steps))[1]
    finally:
        trace.stop()


def run(opt: Options) -> Iterator[Row]:
    """Measure with each loop."""
    for loop in opt.loops:
        for tasks in (1, 100):
            steps = int(opt.scale(100_000, 20_000))
            sides = {"preempted": Side("preempted", loop)}
            found = interleaved(__name__, sides, {"tasks": tasks, "steps": steps}, opt.rounds)["preempted"]
            more = [(with_it - without) / 1000 for without, with_it in found]
            ratio = median_of([with_it / without for without, with_it in found])
            plain = statistics.median(each for each, _ in found)
            note = f"{statistics.median(more):.2f} us more than {plain / 1000:.2f} us"
            yield Row(f"a recorded step, {tasks} tasks", loop, ratio, note, "x not recorded")
