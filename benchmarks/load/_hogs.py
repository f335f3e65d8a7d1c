"""Four kinds of CPU-bound user code, in chunks of a millisecond.

They differ in where they can be preempted: a loop without a call only at its back edges, calls at their entries,
generators in the middle of one another, and the C calls of `json` and `re` nowhere inside. Work is counted in chunks,
never in seconds, so that what preemption costs the hogs shows.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator

from benchmarks._work import mix

CHUNK = 0.001
JOB_CHUNKS = 20
"""A job is what a hog does between two awaits."""

DOCUMENT = {"rows": [{"id": i, "name": f"row {i}", "tags": ["a", "b"], "price": i / 7} for i in range(60)]}
TEXT = " ".join(f"key{i}=value-{i * 7919};" for i in range(500))
PAIR = re.compile(r"(\w+)=([\w-]+);")


def tight(count: int) -> int:
    """Loop without a call."""
    x = i = 1
    while i < count:
        x = (x * 31 + i) & 0xFFFF
        i += 1
    return x


def calls(count: int) -> int:
    """Call a small function again and again."""
    x = 1
    for i in range(count):
        x = mix(x, i)
    return x


def scaled(numbers: Iterable[int]) -> Iterator[int]:
    """Be the middle of a pipeline."""
    for number in numbers:
        yield (number * 31) & 0xFFFF


def odd(numbers: Iterable[int]) -> Iterator[int]:
    """Be the end of a pipeline."""
    for number in numbers:
        if number & 1:
            yield number


def generators(count: int) -> int:
    """Pull numbers through two generators."""
    x = 0
    for number in odd(scaled(range(count))):
        x ^= number
    return x


def ccalls(count: int) -> int:
    """Write and read JSON, and search with a regular expression: some tenths of a millisecond in C each."""
    x = 0
    for _ in range(count):
        x += len(json.loads(json.dumps(DOCUMENT))["rows"]) + len(PAIR.findall(TEXT))
    return x


KINDS: dict[str, Callable[[int], int]] = {
    "tight": tight,
    "calls": calls,
    "generators": generators,
    "ccalls": ccalls,
}


def calibrate(kind: str) -> int:
    """Return the count that takes a chunk's CPU time here: the best of some tries, as noise only ever slows."""
    work = KINDS[kind]
    count, took = 1, 0.0
    while took < CHUNK:
        count *= 2
        took = _best(work, count, 3)
    return max(1, round(count * CHUNK / _best(work, count, 15)))


def _best(work: Callable[[int], int], count: int, tries: int) -> float:
    best = float("inf")
    for _ in range(tries):
        start = time.thread_time()
        work(count)
        best = min(best, time.thread_time() - start)
    return best


def job(kind: str, count: int, chunks: int, note: Callable[[], object] = int) -> None:
    """Do a whole job, what a thread or a process is given; note each chunk that is done."""
    work = KINDS[kind]
    for _ in range(chunks):
        work(count)
        note()
