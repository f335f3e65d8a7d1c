"""The synchronous half of the stress program: jobs whose result depends on their random generator only.

Each job leans on something that a switch in the wrong place would break: the C stack below a sort's key function, the
exception state in a handler, a generator's frame, a finalizer, a context variable that the decimal module keeps.
They are written the way users write, and none knows that it is interrupted.
"""

from __future__ import annotations

import contextlib
import decimal
import functools
import gc
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from typing import Any


def recursion(rng: random.Random) -> Any:
    """Recurse wide, deep, and without end."""

    def ackermann(m: int, n: int) -> int:
        if m == 0:
            return n + 1
        return ackermann(m - 1, ackermann(m, n - 1) if n else 1)

    def depth(n: int) -> int:
        return 1 + depth(n - 1) if n else 0

    def endless(n: int) -> int:
        return endless(n + 1)

    try:
        endless(0)
        end = "returned"
    except RecursionError:
        end = "limited"  # at which depth depends on what the loop has below
    return ackermann(2, rng.randint(5, 12)), depth(rng.randint(200, 500)), end


def generators(rng: random.Random) -> Any:
    """Drive a pipeline of generators with next, send, throw and close."""
    closed = []

    def numbers(count: int) -> Iterator[int]:
        for _ in range(count):
            yield rng.randint(0, 999)

    def pairs(source: Iterator[int]) -> Iterator[tuple[int, int]]:
        for a in source:
            yield a, sum(1 for d in range(1, a % 40 + 2) if a % d == 0)

    def averager() -> Generator[float, float, str]:
        total, count = 0.0, 0
        try:
            while True:
                try:
                    total += yield total / (count or 1)
                    count += 1
                except KeyError:
                    total, count = 0.0, 0
        finally:
            closed.append(count)

    def delegate() -> Generator[float, float, None]:
        yield from averager()

    average = delegate()
    next(average)
    out = []
    for a, divisors in pairs(numbers(150)):
        out.append(average.throw(KeyError) if divisors == 1 else average.send(a * divisors))
    average.close()
    return out, closed


def sorting(rng: random.Random) -> Any:
    """Sort private lists with key functions in Python: the C sort stands between two Python frames."""

    def digits(n: int) -> int:
        return sum(int(c) for c in str(n))

    def compare(a: int, b: int) -> int:
        return (digits(a) > digits(b)) - (digits(a) < digits(b)) or (a > b) - (a < b)

    def refuse(n: int) -> int:
        if n == worst:
            raise LookupError(n)
        return n

    values = [rng.randint(0, 9999) for _ in range(120)]
    worst = values[60]
    by_key = list(values)
    by_key.sort(key=lambda n: (digits(n), -n))
    by_cmp = sorted(values[:60], key=functools.cmp_to_key(compare))
    try:
        values.sort(key=refuse)
    except LookupError:
        pass
    return by_key, by_cmp, values, max(values, key=digits)


def exceptions(rng: random.Random) -> Any:
    """Raise, handle, chain and group; look at the exception state in the middle of a handler."""
    log = []

    def fail(n: int) -> int:
        if n % 7 == 0:
            raise ValueError(n)
        if n % 5 == 0:
            raise KeyError(n)
        return n

    def handle(n: int) -> str:
        try:
            try:
                return str(fail(n))
            except ValueError as error:
                for i in range(20):  # long enough to be interrupted with an exception in flight
                    with contextlib.suppress(KeyError, ValueError):
                        fail(i * 5 + 5)
                assert sys.exception() is error
                raise RuntimeError(n) from error
            finally:
                log.append(n)
        except (RuntimeError, KeyError) as error:
            return f"{error!r} from {error.__cause__!r}"

    out = [handle(rng.randint(0, 99)) for _ in range(60)]
    try:
        raise ExceptionGroup("group", [ValueError(1), KeyError(2), ValueError(3)])
    except* ValueError as group:
        out.append(repr([handle(e.args[0]) for e in group.exceptions]))
    except* KeyError as group:
        out.append(repr(group.exceptions))
    return out, log


def text(rng: random.Random) -> Any:
    """Count, format, split, join and substitute: dictionaries, strings and a callback from `re`."""
    words = ["".join(rng.choices("abcdefgh", k=rng.randint(2, 5))) for _ in range(300)]
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    by_letter: dict[str, list[str]] = {}
    for word, count in counts.items():
        by_letter.setdefault(word[0], []).append(f"{word:>6}:{count:03d}")

    def shout(match: re.Match[str]) -> str:
        return "".join(c.upper() if i % 2 else c for i, c in enumerate(match[0]))

    line = re.sub(r"[abc]+", shout, " ".join(words))
    return sorted(by_letter.items()), Counter(line).most_common(5), line.title()[:200]


def documents(rng: random.Random) -> Any:
    """Encode and decode with hooks in Python: the C encoder calls back into us."""

    def build(depth: int) -> Any:
        if depth == 0:
            return rng.choice([rng.random(), rng.randint(-9, 9), {1, 2, rng.randint(3, 9)}, None, "text"])
        return {f"k{i}": [build(depth - 1) for _ in range(2)] for i in range(3)}

    def encode(value: Any) -> Any:
        return {"set": sorted(value)}

    def decode(value: dict[str, Any]) -> Any:
        return ("set", *value["set"]) if "set" in value else sorted(value.items())

    return json.loads(json.dumps(build(3), default=encode), object_hook=decode)


def numbers(rng: random.Random) -> Any:
    """Compute with big integers, fractions, and decimals whose precision is a context variable."""
    big = functools.reduce(lambda a, b: a * b % (10**300 + 7), (rng.randint(2, 10**30) for _ in range(40)))
    exact = sum((Fraction(rng.randint(1, 9), rng.randint(1, 9)) for _ in range(15)), Fraction())
    with decimal.localcontext() as context:
        context.prec = rng.randint(20, 40)
        root = decimal.Decimal(2)
        for _ in range(40):
            root = (root + decimal.Decimal(rng.randint(2, 9)) / root) / 2
    return str(big), str(exact), str(root), decimal.getcontext().prec


class Knot:
    """A cycle with a finalizer that computes: the collector runs it in the middle of whatever allocates."""

    def __init__(self, tally: list[int], n: int) -> None:
        self.me, self.tally, self.n = self, tally, n

    def __del__(self) -> None:
        self.tally.append(sum(i % 3 for i in range(self.n)))


def garbage(rng: random.Random) -> Any:
    """Drop cycles and collect them: every finalizer runs once, in whichever order."""
    tally: list[int] = []
    for _ in range(30):
        Knot(tally, rng.randint(10, 200))
        [[] for _ in range(50)]
    gc.collect()
    return sorted(tally)


JOBS: tuple[Callable[[random.Random], Any], ...] = (
    recursion,
    generators,
    sorting,
    exceptions,
    text,
    documents,
    numbers,
    garbage,
)
