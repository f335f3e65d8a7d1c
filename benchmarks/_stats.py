"""Figures that know how sure they are.

Problem: a median of twenty turns is a figure with an error, and a bound that is missed by less than that error is not
missed. What does not work: quartiles in a note, which nobody compares; a standard error, as turns that a neighbour
disturbed are no normal distribution.
What we do: the interval between two of the values that were measured, chosen so that it holds the true median with 95 %
whatever the distribution is (the order statistics of the sign test). It is exact, has no random numbers in it, and is
honest about few values: from under six no such interval exists, and the whole range is taken with the confidence
that it has.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Self

CONFIDENCE = 0.95


class Estimate(float):
    """A figure with its interval: a plain float to all who compute with it."""

    low: float
    high: float
    sure: float

    def __new__(cls, value: float, low: float, high: float, sure: float = CONFIDENCE) -> Self:
        """Make the figure; `low` and `high` are the ends of its interval, `sure` how often one holds the true value."""
        self = super().__new__(cls, value)
        self.low = low
        self.high = high
        self.sure = sure
        return self


def median_of(values: Sequence[float]) -> Estimate:
    """Return the median of some values, with its interval: 95 %, or all of few values."""
    ordered = sorted(values)
    below = _rank(len(ordered))
    return Estimate(statistics.median(ordered), ordered[below], ordered[-1 - below], coverage(len(ordered), below))


def coverage(count: int, below: int) -> float:
    """Return how sure it is that the median is between the values of rank `below` from either end of `count`."""
    outside = sum(math.comb(count, k) for k in range(below + 1))
    return 1 - 2 * outside / 2**count


def _rank(count: int) -> int:
    """Return the greatest rank whose interval is sure enough, 0 if none is."""
    below = 0
    while below + 1 < count / 2 and coverage(count, below + 1) >= CONFIDENCE:
        below += 1
    return below


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the exponent b of cost = a * size**b: the straight line through the logarithms (least squares)."""
    x, y = ([math.log(value) for value in values] for values in (sizes, costs))
    return statistics.linear_regression(x, y).slope
