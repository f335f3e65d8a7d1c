"""Intervals hold the true median as often as they say, and verdicts respect them."""

import random
import statistics

import pytest

from benchmarks._harness import Promise, Row, cost_ratio, judge, ratio
from benchmarks._stats import Estimate, coverage, median_of, slope


def test_interval_holds_the_true_median_as_often_as_it_says():
    """Of a skewed distribution, as latencies are: 95 % or more, and not always."""
    rng = random.Random(7)
    true = 0.6931471805599453  # of the exponential distribution
    held = 0
    for _ in range(2000):
        figure = median_of([rng.expovariate(1) for _ in range(20)])
        held += figure.low <= true <= figure.high
    assert 0.94 < held / 2000 < 0.99


def test_coverage_is_that_of_the_tables():
    """Sign test: of 6 values the range holds the median with 96.9 %, of 20 the 6th to the 15th with 95.9 %."""
    assert coverage(6, 0) == pytest.approx(0.96875)
    assert coverage(20, 5) == pytest.approx(0.9586, abs=1e-4)
    figure = median_of(range(1, 21))
    assert (figure, figure.low, figure.high) == (10.5, 6, 15)


def test_few_values_give_their_whole_range():
    """Nothing narrower would be sure enough."""
    for values in ([3.0], [2.0, 1.0], [5.0, 1.0, 3.0, 2.0, 4.0]):
        figure = median_of(values)
        assert (figure, figure.low, figure.high) == (statistics.median(values), min(values), max(values))


def test_ratio_is_taken_turn_by_turn():
    """Both sides drift by a factor of ten; their ratio does not."""
    theirs = [float(10**i) for i in range(6)]
    value, note = ratio([2 * each for each in theirs], theirs)
    assert (value, value.low, value.high, note) == (2, 2, 2, "6 turns")


def test_cost_ratio_judges_cpu_time():
    """The wall clock is in the note only."""
    value, note = cost_ratio([(9.0, 1.0)] * 3, [(1.0, 2.0)] * 3)
    assert value == 0.5
    assert "wall 9.000" in note


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_slope_finds_the_exponent(exponent):
    """Of a power law."""
    sizes = [10, 100, 1000, 10_000]
    assert slope(sizes, [3 * n**exponent for n in sizes]) == pytest.approx(exponent)


AT_MOST = Promise("a", "<=", 1.0)
AT_LEAST = Promise("a", ">=", 1.0)


@pytest.mark.parametrize(
    ("promise", "value", "verdict"),
    [
        (AT_MOST, Estimate(0.9, 0.8, 1.2), "ok"),
        (AT_MOST, Estimate(1.1, 0.9, 1.2), "unsure"),
        (AT_MOST, Estimate(1.1, 1.01, 1.2), "MISSED"),
        (AT_LEAST, Estimate(1.1, 0.8, 1.2), "ok"),
        (AT_LEAST, Estimate(0.9, 0.8, 1.0), "unsure"),
        (AT_LEAST, Estimate(0.9, 0.8, 0.99), "MISSED"),
        (AT_MOST, 1.1, "MISSED"),  # no interval: the bare figure is judged
    ],
)
def test_verdict(promise, value, verdict):
    """A bound inside the interval is neither kept nor missed."""
    assert judge(Row("a", "asyncio", value), [promise]) == (promise, verdict)


def test_row_without_a_promise_is_not_judged():
    """Neither is one of another loop."""
    assert judge(Row("b", "asyncio", 2.0), [AT_MOST]) == (None, "")
    assert judge(Row("a", "machine", 2.0), [AT_MOST]) == (None, "")
