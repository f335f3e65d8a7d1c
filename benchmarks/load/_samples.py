"""Latencies in an HdrHistogram: every sample counts, three digits of each are kept."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import Any

PERCENTILES = ("50", "90", "99", "99.9", "99.99")
LONGEST_US = 600_000_000
DIGITS = 3


def is_usable() -> bool:
    """Report whether the library is installed."""
    return importlib.util.find_spec("hdrh") is not None


class Samples:
    """Some latencies, in microseconds inside and milliseconds outside."""

    def __init__(self, encoded: str | None = None) -> None:
        """Begin with none, or with what `encoded()` returned once."""
        from hdrh.histogram import HdrHistogram

        self.histogram: Any = HdrHistogram(1, LONGEST_US, DIGITS)
        if encoded is not None:
            self.histogram.decode_and_add(encoded)

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Samples:
        """Record some latencies, in seconds."""
        self = cls()
        for each in seconds:
            self.histogram.record_value(min(LONGEST_US, max(1, round(each * 1e6))))
        return self

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.histogram.get_total_count())

    def percentile(self, q: float) -> float:
        """Return the latency that q per cent did not exceed."""
        return float(self.histogram.get_value_at_percentile(q)) / 1e3

    def percentiles(self) -> dict[str, float]:
        """Return those that are no mere maximum: at least one sample is above each."""
        return {q: self.percentile(float(q)) for q in PERCENTILES if self.count * (100 - float(q)) >= 99.999}

    def longest(self) -> float:
        """Return the longest one."""
        return float(self.histogram.get_max_value()) / 1e3

    def curve(self) -> list[tuple[float, float]]:
        """Return each recorded latency with the share of the samples that is greater."""
        points, seen = [], 0
        for item in self.histogram.get_recorded_iterator():
            seen += item.count_added_in_this_iter_step
            points.append((item.value_iterated_to / 1e3, 1 - seen / self.count))
        return points

    def encoded(self) -> str:
        """Return all of it, compressed, in letters."""
        text: bytes | str = self.histogram.encode()
        return text.decode() if isinstance(text, bytes) else text
