"""Histograms: a duration is known to an eighth, from a nanosecond to hours, and nothing is lost."""

import math
import random
import statistics

import pytest
from hypothesis import given, strategies as st

from preemptio._observe._histogram import NS, SIZE, Recorder, bucket_of, lower_bound
from preemptio.runtime import Histogram


def test_the_buckets_cover_everything_and_do_not_overlap():
    """Each begins where the one before it ends, and is no wider than an eighth of what is in it."""
    for bucket in range(SIZE - 1):
        low, high = lower_bound(bucket), lower_bound(bucket + 1)
        assert bucket_of(low) == bucket == bucket_of(high - 1)
        assert high - low <= max(1, low / 8)


@given(st.integers(min_value=-10, max_value=1 << 60))
def test_recording_finds_the_bucket(nanoseconds):
    """The record path has the formula written out; it is the same. What is out of range counts at the end."""
    recorder = Recorder()
    recorder.record(nanoseconds)
    assert recorder.counts[bucket_of(nanoseconds)] == 1
    assert sum(recorder.counts) == 1


def test_recording_makes_nothing_grow():
    """All buckets are there from the beginning."""
    recorder = Recorder()
    counts, size = recorder.counts, len(recorder.counts)
    for exponent in range(60):
        recorder.record(1 << exponent)
    assert recorder.counts is counts
    assert len(counts) == size


def test_percentiles():
    """Within an eighth of the exact ones, over six orders of magnitude."""
    draw = random.Random(5)
    values = [math.exp(draw.uniform(math.log(1e-6), math.log(1.0))) for _ in range(5000)]
    histogram = Histogram.of(values)
    exact = statistics.quantiles(values, n=1000)
    for share in (0.01, 0.25, 0.5, 0.9, 0.99):
        assert histogram.percentile(share) == pytest.approx(exact[round(share * 1000) - 1], rel=0.13)
    assert histogram.percentile(1) == pytest.approx(max(values), rel=0.13)
    assert histogram.sum == pytest.approx(sum(values), rel=1e-3)
    assert histogram.mean == pytest.approx(statistics.mean(values), rel=1e-3)
    assert histogram.count == 5000


def test_of_nothing():
    """There is no percentile, and it is not an error to ask."""
    assert (Histogram().count, Histogram().percentile(0.99), Histogram().mean) == (0, 0.0, 0.0)


@given(st.lists(st.floats(0, 100)), st.lists(st.floats(0, 100)))
def test_merging_and_subtracting(some, more):
    """Two together are as if recorded into one; taking one away leaves the other."""
    both = Histogram.of(some) + Histogram.of(more)
    assert both.counts == Histogram.of(some + more).counts
    assert (both - Histogram.of(more)).counts == Histogram.of(some).counts
    assert both.sum == pytest.approx(Histogram.of(some + more).sum)


@pytest.mark.parametrize("per_range", [1, 2, 4, 8])
def test_buckets_for_prometheus(per_range):
    """Bounds and counts only grow, and each count is that of what is shorter than its bound."""
    values = [5e-6, 5e-6, 3e-3, 0.7, 200.0]
    found = list(Histogram.of(values).buckets(per_range))
    assert len(found) == 26 * per_range + 1
    for bound, below in found:
        assert below == sum(value < bound for value in values)
    assert found == sorted(found)
    assert found[0][0] == pytest.approx(1024 * NS)


def test_misuse_says_what_to_type():
    """A percentile is a share, not a per cent."""
    with pytest.raises(ValueError, match=r"percentile\(0\.99\)"):
        Histogram().percentile(99)
    with pytest.raises(ValueError, match="1, 2, 4 or 8"):
        list(Histogram().buckets(3))
