"""Jobs on data: strings and dictionaries, documents, numbers, garbage.

Here it is C that calls back into Python, or keeps state between two calls: a substitution, an encoder's hook, the
context variable of the decimal module, a finalizer that the collector runs in the middle of whatever allocates.
"""

from __future__ import annotations

import decimal
import functools
import gc
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any


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
    """A cycle with a finalizer that computes."""

    def __init__(self, tally: list[int], n: int) -> None:
        self.me, self.tally, self.n = self, tally, n

    def __del__(self) -> None:
        self.tally.append(sum(i % 3 for i in range(self.n)))


def garbage(rng: random.Random) -> Any:
    """Drop cycles and collect them: every finalizer runs once, in whichever order.

    A collection does nothing while another one runs, and a thread's may be halfway: then it is tried again. A
    *task* that is parked halfway would block all collections for good, and that is a wrong result.
    """
    tally: list[int] = []
    for _ in range(30):
        Knot(tally, rng.randint(10, 200))
        [[] for _ in range(50)]
    for _ in range(100):
        gc.collect()
        if len(tally) == 30:
            break
        time.sleep(0.0005)
    return sorted(tally)


JOBS: tuple[Callable[[random.Random], Any], ...] = (text, documents, numbers, garbage)
