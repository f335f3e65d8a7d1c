"""Heartbeats beside a CPU job: first on plain asyncio, then preempted.

    python examples/01_hog.py

The job sorts points into clusters (k-means) in pure Python and never awaits. The heartbeat wants to beat every 10 ms.
Nothing in the job knows about preemptio; only the last lines of this file differ between the two runs.
"""

import asyncio
import random
import time

import preemptio

BEAT = 0.01


def nearest(point, centres):
    """Return the index of the centre that is closest to a point."""
    x, y = point
    return min(range(len(centres)), key=lambda i: (centres[i][0] - x) ** 2 + (centres[i][1] - y) ** 2)


def mean(points):
    """Return the middle of some points."""
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def k_means(points, k, rounds):
    """Return k cluster centres."""
    centres = points[:k]
    for _ in range(rounds):
        clusters = [[] for _ in centres]
        for point in points:
            clusters[nearest(point, centres)].append(point)
        centres = [mean(cluster) if cluster else centre for cluster, centre in zip(clusters, centres, strict=True)]
    return centres


def some_points(n):
    """Return the same n points each time."""
    rng = random.Random(7)
    return [(rng.gauss(rng.choice((0, 5, 9)), 1), rng.gauss(rng.choice((1, 6)), 1)) for _ in range(n)]


async def heartbeat(gaps):
    """Note how long it is from beat to beat."""
    last = time.perf_counter()
    while True:
        await asyncio.sleep(BEAT)
        now = time.perf_counter()
        gaps.append(now - last)
        last = now


async def job(points):
    """Compute for a good part of a second, with no await in between."""
    return k_means(points, k=6, rounds=20)


async def main(label):
    """Run both, and say how the heart did while the job ran."""
    points, gaps = some_points(4000), []
    heart = asyncio.create_task(heartbeat(gaps))
    await asyncio.sleep(3 * BEAT)
    gaps.clear()
    start = time.perf_counter()
    centres = await asyncio.create_task(job(points))
    took = time.perf_counter() - start
    await asyncio.sleep(2 * BEAT)  # plain asyncio: only now the late beat comes
    heart.cancel()
    print(f"{label:9} job {took:.2f} s, {len(gaps):3} beats, longest gap {max(gaps) * 1000:6.1f} ms")
    return sorted(centres), len(gaps)


if __name__ == "__main__":
    plain, few = asyncio.run(main("plain"))
    preempted, many = preemptio.run(main("preempted"))
    print("same result:", plain == preempted)
    print("the heart beat through the job:", many > 2 * few)
