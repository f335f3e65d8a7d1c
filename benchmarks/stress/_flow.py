"""Jobs of control flow: recursion, generators, sorts with keys in Python, exceptions.

Each leans on something that a switch in the wrong place would break - the C stack below a sort's key function, the
exception state in a handler, a generator's frame - and its result depends on its random generator only. They
are written the way users write, and none knows that it is interrupted.
"""

from __future__ import annotations

import contextlib
import functools
import random
import sys
from collections.abc import Callable, Generator, Iterator
from typing import Any


def recursion(rng: random.Random) -> Any:
    """Recurse wide and deep."""

    def ackermann(m: int, n: int) -> int:
        if m == 0:
            return n + 1
        return ackermann(m - 1, ackermann(m, n - 1) if n else 1)

    def depth(n: int) -> int:
        return 1 + depth(n - 1) if n else 0

    return ackermann(2, rng.randint(5, 12)), depth(rng.randint(200, 500))


def endless(rng: random.Random) -> Any:
    """Recurse up to the limit, where a tick's own calls find no room either.

    Not among the jobs: a finalizer that the collector happens to run up there fails, whoever's it is.
    """

    def recurse(n: int) -> int:
        return recurse(n + 1)

    try:
        recurse(0)
    except RecursionError:  # at which depth depends on what the loop has below
        return generators(rng)


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
    log: list[object] = []

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
                log.append(sys.exception() is error)
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


JOBS: tuple[Callable[[random.Random], Any], ...] = (recursion, generators, sorting, exceptions)
