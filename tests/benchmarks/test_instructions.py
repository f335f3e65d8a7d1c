"""Dumps of callgrind are read by their marks."""

import pytest

from benchmarks import instructions
from benchmarks._phases import ONCE, REPEATS
from benchmarks._worker import WorkerError


def test_difference_of_once_and_twice_is_what_a_call_takes():
    """What is done once for a phase is not in it, and neither is what lies between phases."""
    totals = []
    for _ in range(REPEATS):
        for cost in (10, 7):
            totals += [123_456, 1_000 + cost * ONCE, 1_000 + cost * 2 * ONCE]
    assert instructions.per_call(totals, ["a", "b"]) == {"a": [10.0] * REPEATS, "b": [7.0] * REPEATS}


def test_missing_dump_is_an_error():
    """A phase would be taken for another."""
    with pytest.raises(WorkerError, match="wrote 4 dumps"):
        instructions.per_call([1, 2, 3, 4], ["a"])


def test_without_valgrind_it_is_skipped(monkeypatch):
    """With what to type."""
    monkeypatch.setattr(instructions.shutil, "which", lambda _: None)
    (skipped,) = instructions.run(instructions.Options())
    assert "apt-get install valgrind" in skipped.why
