"""An async actor of Ray's: what a call costs on a preempted loop, and how late its health check is beside computations.

    python -m benchmarks.actor [--rounds 12]

Needs Ray (`make test-ray` makes an environment that has it) and CPython 3.12 or newer. One actor of the same class on
Ray's own loop, one on preemptio's, on a cluster of this machine's own. Calls that do nothing are measured in turns, one
after the other and many under way, and compared by the turns' ratios: by the wall clock, since most of a call is
spent in Ray's processes and not in the loop.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any

import ray

import preemptio.ray
from benchmarks._harness import percentile, ratio

CALLS = 1000
TOGETHER = 50
CRUNCHES = 8
CRUNCH = 0.5


@ray.remote
class Actor:
    """What is asked: a check that is quick, and a computation that never awaits."""

    async def health(self) -> str:
        """Answer at once."""
        return "ok"

    async def crunch(self, seconds: float) -> int:
        """Compute, in pure Python, for so much of the thread's CPU time."""
        until, rounds = time.thread_time() + seconds, 0
        while time.thread_time() < until:
            rounds += 1
        return rounds


def calls_a_second(actor: Any, together: int) -> float:
    """Return the rate of calls of which so many are under way at a time."""
    start = time.perf_counter()
    under_way = [actor.health.remote() for _ in range(together)]
    for _ in range(CALLS - together):
        done, under_way = ray.wait(under_way)
        ray.get(done)
        under_way.append(actor.health.remote())
    ray.get(under_way)
    return CALLS / (time.perf_counter() - start)


def lateness(actor: Any) -> list[float]:
    """Return how long each health check took (ms) while the actor computed."""
    crunching = [actor.crunch.remote(CRUNCH) for _ in range(CRUNCHES)]
    took = []
    while True:
        start = time.perf_counter()
        ray.get(actor.health.remote())
        took.append((time.perf_counter() - start) * 1000)
        done, _ = ray.wait(crunching, num_returns=CRUNCHES, timeout=0.005)
        if len(done) == CRUNCHES:
            return took


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="What preemption costs an async actor of Ray's, and what it buys.")
    parser.add_argument("--rounds", type=int, default=12, help="turns of each figure; 12 unless given")
    args = parser.parse_args(arguments)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        ours = preemptio.ray.actor_options(PREEMPTIO_SLICE="1ms")
        sides = {
            "preempted": Actor.options(max_concurrency=100, **ours).remote(),
            "Ray's": Actor.options(max_concurrency=100).remote(),
        }
        for together in (1, TOGETHER):
            rates: dict[str, list[float]] = {name: [] for name in sides}
            for turn in range(-1, args.rounds):
                for name in sides if turn % 2 else reversed(sides):
                    rate = calls_a_second(sides[name], together)
                    if turn >= 0:
                        rates[name].append(rate)
            value, note = ratio(*rates.values())
            seen = " against ".join(f"{statistics.median(each):.0f}" for each in rates.values())
            print(f"calls/s, {together} at a time, preempted: {value:.3f} x Ray's", end=" ")
            print(f"({value.low:.3f} to {value.high:.3f}); {seen}, {note}", flush=True)
        for name, actor in sides.items():
            took = lateness(actor)
            print(
                f"health beside {CRUNCHES} x {CRUNCH} s, {name}: p50 {statistics.median(took):.1f} ms, "
                f"p99 {percentile(took, 0.99):.1f}, worst {max(took):.1f} of {len(took)}"
            )
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
