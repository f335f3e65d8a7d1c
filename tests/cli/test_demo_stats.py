"""The demo's figures: percentiles, how times and ratios are written, and the histogram's buckets and bars."""

import pytest

from preemptio._cli._demo_stats import FIGURES, Run, bar, buckets, duration, figures, percentile, ratio


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [([], 0.5, 0.0), ([7.0], 0.99, 7.0), ([3.0, 1.0, 2.0], 0.5, 2.0), (range(100), 0.99, 99), (range(1000), 0.99, 990)],
)
def test_percentile_is_a_sample(values, q, expected):
    """A percentile is one of the values, whatever their order; 0 without values."""
    assert percentile(values, q) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 ms"),
        (0.000_05, "0.05 ms"),
        (0.001_234, "1.23 ms"),
        (0.0123, "12 ms"),
        (0.9, "900 ms"),
        (1.5, "1.50 s"),
    ],
)
def test_durations(seconds, text):
    """A time has two or three digits that mean something, in ms or s."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("plain", "preempted", "text"), [(2.0, 0.001, "2,000x"), (2.5, 2.0, "1.25x"), (0.0, 1.0, "0.00x"), (1.0, 0.0, "-")]
)
def test_ratios(plain, preempted, text):
    """A ratio is plain / preempted; where there is none it says so."""
    assert ratio(plain, preempted) == text


def test_buckets_are_those_that_are_reached():
    """From the lowest to the highest that any run reaches, empty ones between them included; edges belong above."""
    rows = buckets([[0.5, 2.0], [0.0005, 0.001, 0.002]])
    assert rows[0] == ("under 1 ms", [0, 1])
    assert rows[1] == ("1 - 3 ms", [0, 2])
    assert [name for name, counts in rows if counts[0]] == ["300 ms - 1 s", "1 - 3 s"]
    assert len(rows) == 8


def test_buckets_at_the_ends():
    """What is very late is counted, and no samples at all are no error."""
    assert buckets([[100.0]]) == [("over 3 s", [1])]
    assert buckets([[]]) == [("under 1 ms", [0])]


def test_bars():
    """The longest bar has the width; the smallest count can be seen; a bar never exceeds the width."""
    assert bar(10, 10, 8) == "████████"
    assert bar(1, 10_000, 8) == "▏"
    assert bar(0, 10, 8) == bar(0, 0, 8) == ""
    assert bar(1, 10_000, 8, ascii_only=True) == "#"
    assert {len(bar(count, 100, 20)) <= 20 for count in range(101)} == {True}


def test_figures_of_a_run():
    """Every row of the table is in the figures."""
    run = Run(health=[0.1, 0.2], sent=3, answered=2, failed=1, crunched=4, crunch_rate=2.0, late=[])
    found = figures(run)
    assert {figure.key for figure in FIGURES} <= found.keys()
    assert (found["health_max"], found["heartbeat_max"], found["health_sent"]) == (0.2, 0.0, 3)
