"""An async actor of Ray's that answers its health check while it computes.

    python examples/10_ray_actor.py

Ray spreads work over cores and machines; inside of one actor its async methods share a loop, and one that computes
keeps the others waiting. Two actors of the same class compare modules with difflib, in pure Python; one runs on Ray's
loop, one on preemptio's. Needs ray, and CPython 3.12 or newer: the loop of an actor is not in its main thread.
"""

import difflib
import importlib.util
import time

import ray

import preemptio.ray


def words(module):
    """Return the words of a module's source."""
    with open(importlib.util.find_spec(module).origin, encoding="utf-8") as file:
        return file.read().split()


@ray.remote
class Comparer:
    """An ordinary actor with async methods."""

    async def health(self):
        """Say that all is well."""
        return "ok"

    async def similar(self, one, other):
        """Say how alike two modules are: this takes long, and never awaits."""
        return difflib.SequenceMatcher(None, words(one), words(other), autojunk=False).ratio()


def drive(label, actor):
    """Have it compare, and check its health until the answer is there; return how long the slowest check took."""
    ray.get(actor.health.remote())
    answer = actor.similar.remote("dataclasses", "argparse")
    checks = []
    while not ray.wait([answer], timeout=0)[0]:
        start = time.perf_counter()
        ray.get(actor.health.remote())
        checks.append(time.perf_counter() - start)
    print(f"{label:9} {ray.get(answer):.3f}, {len(checks):3} x health, slowest {max(checks) * 1000:6.1f} ms")
    return max(checks), len(checks)


def main():
    """Compare both, on a cluster of this machine's own."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        plain = Comparer.options(max_concurrency=10).remote()
        preempted = Comparer.options(max_concurrency=10, **preemptio.ray.actor_options()).remote()
        frozen, _ = drive("Ray's", plain)
        kept, checks = drive("preempted", preempted)
        print("health was checked meanwhile:", kept < frozen / 2 and checks > 2)
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
