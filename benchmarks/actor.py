"""An async actor of Ray's: what a call costs on a preempted loop, and how late its health check is beside computations.

Needs Ray and CPython 3.12 or newer. One actor of the same class on Ray's own loop, one on preemptio's, on a cluster of
this machine's own, which a process of its own starts. Calls that do nothing are measured in turns, one after the other
and many under way, and compared by the turns' ratios: by the wall clock, since most of a call is spent in Ray's
processes and not in the loop. The time of a health check is that of a whole call, too, beside CRUNCHES methods that
compute for CRUNCH seconds each.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks._harness import Options, Promise, Row, Skipped, percentile, ratio
from benchmarks._stats import median_of
from benchmarks._worker import Side, Worker

TOGETHER = 50
CRUNCHES = 8
CRUNCH = 0.5

HEALTH = f"health beside {CRUNCHES} x {CRUNCH} s"
CALLS = "calls a second, {} under way"

PROMISES: tuple[Promise, ...] = ()

SIDES = ("preempted", "Ray's")
ACTORS: dict[str, Any] = {}
"""The actors of this process's cluster, once it has one."""


def start() -> None:
    """Start a cluster, with an actor of each kind."""
    import ray

    import preemptio.ray

    @ray.remote
    class Actor:  # made in here, so that it is sent by value: the worker of Ray's own loop imports nothing of ours
        async def health(self) -> str:
            return "ok"

        async def crunch(self, seconds: float) -> int:
            until, rounds = time.thread_time() + seconds, 0
            while time.thread_time() < until:
                rounds += 1
            return rounds

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ours = preemptio.ray.actor_options(PREEMPTIO_SLICE="1ms")
    ACTORS["preempted"] = Actor.options(max_concurrency=100, **ours).remote()  # type: ignore[attr-defined]
    ACTORS["Ray's"] = Actor.options(max_concurrency=100).remote()  # type: ignore[attr-defined]


def measure(side: Side, what: str, of: str, **params: int) -> Any:
    """Return what `what` finds of one of the actors."""
    if not ACTORS:
        start()
    return {"calls": calls_a_second, "health": lateness}[what](ACTORS[of], **params)


def calls_a_second(actor: Any, together: int, calls: int) -> float:
    """Return the rate of calls of which so many are under way at a time."""
    import ray

    start = time.perf_counter()
    under_way = [actor.health.remote() for _ in range(together)]
    for _ in range(calls - together):
        done, under_way = ray.wait(under_way)
        ray.get(done)
        under_way.append(actor.health.remote())
    ray.get(under_way)
    return calls / (time.perf_counter() - start)


def lateness(actor: Any) -> list[float]:
    """Return how long each health check took (ms) while the actor computed."""
    import ray

    crunching = [actor.crunch.remote(CRUNCH) for _ in range(CRUNCHES)]
    took = []
    while True:
        start = time.perf_counter()
        ray.get(actor.health.remote())
        took.append((time.perf_counter() - start) * 1000)
        done, _ = ray.wait(crunching, num_returns=CRUNCHES, timeout=0.005)
        if len(done) == CRUNCHES:
            return took


def turns(worker: Worker, count: int, **params: Any) -> dict[str, list[Any]]:
    """Measure each actor so many times, in turns; the first turn only warms up."""
    found: dict[str, list[Any]] = {of: [] for of in SIDES}
    for turn in range(-1, count):
        for of in SIDES if turn % 2 else reversed(SIDES):
            found[of].append(worker.measure(of=of, **params))
    return {of: each[1:] for of, each in found.items()}


def run(opt: Options) -> Iterator[Row | Skipped]:
    """Compare the calls, then the health checks."""
    if sys.version_info < (3, 12):
        yield Skipped("everything", "an actor's loop is in a thread: that takes CPython 3.12 or newer")
        return
    if importlib.util.find_spec("ray") is None:
        yield Skipped("everything", "Ray is not installed. Type: pip install 'preemptio[ray-test]'")
        return
    worker = Worker(__name__, Side("bare"))
    try:
        for together in (1, TOGETHER):
            calls = int(opt.scale(1000, 300))
            rates = turns(worker, 2 * opt.rounds, what="calls", together=together, calls=calls)
            value, note = ratio(rates["preempted"], rates["Ray's"])
            seen = " against ".join(f"{statistics.median(rates[of]):.0f}" for of in SIDES)
            yield Row(CALLS.format(together), "preempted", value, f"{seen}/s, {note}", "x Ray's")
        for of, rounds in turns(worker, 1 if opt.quick else 3, what="health").items():
            note = f"n {sum(map(len, rounds))}"
            for name, q in (("p50", 0.5), ("p99", 0.99)):
                yield Row(f"{HEALTH}, {name}", of, median_of([percentile(each, q) for each in rounds]), note, "ms")
            yield Row(f"{HEALTH}, worst", of, max(map(max, rounds)), note, "ms")
    finally:
        worker.close()
