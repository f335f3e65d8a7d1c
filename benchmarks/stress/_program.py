"""The stress program: every worker several times over, and what came of it.

Run in a worker process of either side; see `measure` in the package. Results are kept by worker, so that a
difference says which one is wrong.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

from benchmarks.stress import _computing, _waiting
from benchmarks.stress._shared import Shared, Worker

COPIES = 5
WORKERS = _computing.WORKERS + _waiting.WORKERS

Results = dict[str, str]


async def program(seed: int, skip: list[str]) -> tuple[Results, dict[str, int]]:
    """Run all workers but those to skip; return their results, and how often they were preempted, by kind."""
    shared = Shared()
    results: Results = {}
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: results.update({f"complaint {len(results)}": repr(context)}))
    server = await asyncio.start_server(_waiting.answer_reversed, "127.0.0.1", 0)
    shared.port = server.sockets[0].getsockname()[1]
    for workers in (WORKERS, (_computing.limits,)):
        tasks = {}
        for copy in range(COPIES):
            for worker in workers:
                if worker.__name__ not in skip:
                    name = f"{worker.__name__} {copy}"
                    tasks[name] = shared.spawn(keep(worker, shared, random.Random(f"{seed} {name}")))
        for name, task in tasks.items():
            results[name] = await task
    server.close()
    await server.wait_closed()
    for name in ("plain", "locked", "guarded", "inside", "torn"):
        results[f"shared {name}"] = str(getattr(shared, name))
    preemptions: Counter[str] = Counter()
    for task in shared.tasks:
        record = getattr(task, "g", None)  # a stock task has none
        if record is not None:
            preemptions.update({str(kind): count for kind, count in record.preemptions.items()})
    return results, dict(preemptions)


async def keep(worker: Worker, shared: Shared, rng: random.Random) -> str:
    """Tell a worker's result, or the exception that it raised, which is a result too."""
    try:
        result: Any = await worker(shared, rng)
    except Exception as error:
        return f"raised {error!r}"
    return repr(result)
