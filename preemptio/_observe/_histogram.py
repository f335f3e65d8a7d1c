"""Histograms of durations: log-linear, of a fixed size, and cheap to record into.

Problem. Delays of a scheduler go from a microsecond to a minute, and the tail is what is asked for. Linear buckets are
too coarse below or too many above. A reservoir of samples forgets the tail, and two cannot be merged.

What we do. As Go's runtime: each range from a power of two of nanoseconds to the next is cut into eight equal buckets,
so a value is known to an eighth whatever its size. A bucket's number is a shift and an addition. All buckets are there
from the beginning, so recording changes two numbers and makes nothing grow; what is too long goes into the last one.

Two classes. `Recorder` is written on the record path; a `Histogram` is a frozen copy, which can be subtracted from a
later one, merged with another population's of the same rule, and asked for percentiles. Go's have no sum; ours do,
because Prometheus and OpenTelemetry ask for one.

Context: `record` in the loop's thread. `snapshot` in any: it copies the counts in one call, which no other thread can
interrupt. The sum may be ahead or behind by one value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

SUB_BITS: Final = 3
SUBS: Final = 1 << SUB_BITS
"""Buckets in a range from one power of two to the next."""

MAX_BITS: Final = 43
"""2**43 ns are two hours and a half; what is longer counts as that."""

SIZE: Final = (MAX_BITS - SUB_BITS + 1) * SUBS
"""Buckets in all. The first 16 are a nanosecond wide each."""

NS: Final = 1e-9


def bucket_of(nanoseconds: int) -> int:
    """Return the number of the bucket that a duration falls into."""
    if nanoseconds < SUBS:
        return max(nanoseconds, 0)
    shift = nanoseconds.bit_length() - SUB_BITS - 1
    return min((shift << SUB_BITS) + (nanoseconds >> shift), SIZE - 1)


def lower_bound(bucket: int) -> int:
    """Return the least duration in a bucket, in nanoseconds; that of the next is where it ends."""
    if bucket < SUBS:
        return bucket
    shift = (bucket >> SUB_BITS) - 1
    return (SUBS + (bucket & (SUBS - 1))) << shift


class Recorder:
    """What durations are recorded into."""

    __slots__ = ("counts", "nanoseconds")

    def __init__(self) -> None:
        """Make all the buckets."""
        self.counts = [0] * SIZE
        self.nanoseconds = 0

    def record(self, nanoseconds: int) -> None:
        """Count one duration. `bucket_of` written out: this is called for samples of the hot path."""
        self.nanoseconds += nanoseconds
        shift = nanoseconds.bit_length() - 4  # 1 + SUB_BITS
        if shift <= 0:
            self.counts[max(0, nanoseconds)] += 1
        else:
            bucket = (shift << 3) + (nanoseconds >> shift)
            self.counts[bucket if bucket < SIZE else -1] += 1

    def snapshot(self) -> Histogram:
        """Return what was recorded until now."""
        return Histogram(tuple(self.counts), self.nanoseconds * NS)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How long something took, and how often: a frozen copy. Times are seconds.

    `later - earlier` is what was recorded in between, `one + other` both together. Add only what was sampled by the
    same rule: else percentiles move with the mixture.

    Example:
        >>> from preemptio.runtime import Histogram
        >>> Histogram.of([0.001, 0.002, 0.1]).count
        3
        >>> round(Histogram.of([0.001] * 99 + [0.1]).percentile(0.5), 3)
        0.001
    """

    counts: tuple[int, ...] = (0,) * SIZE
    """How many fell into each bucket; `bounds` tells where the buckets end."""
    sum: float = 0.0
    """Of all durations."""

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Histogram:
        """Return the histogram of these durations."""
        recorder = Recorder()
        for each in seconds:
            recorder.record(round(each / NS))
        return recorder.snapshot()

    @property
    def count(self) -> int:
        """How many durations there are."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """Their mean; 0.0 if there are none."""
        count = self.count
        return self.sum / count if count else 0.0

    def percentile(self, share: float) -> float:
        """Return the duration that this share of all does not exceed, to an eighth of itself; 0.0 if there are none.

        Args:
            share: 0.5 is the median, 0.99 what Go and Prometheus call p99.

        Raises:
            ValueError: the share is not between 0 and 1.
        """
        if not 0 <= share <= 1:
            msg = f"percentile() takes a share between 0 and 1, not {share!r}; the 99th is percentile(0.99)"
            raise ValueError(msg)
        left = share * self.count
        for bucket, count in enumerate(self.counts):
            if count and left <= count:
                low, high = lower_bound(bucket), lower_bound(bucket + 1)
                return (low + (high - low) * left / count) * NS
            left -= count
        return 0.0

    def buckets(self, per_range: int = 1) -> Iterator[tuple[float, int]]:
        """Go through (upper bound in seconds, how many are shorter), as Prometheus's `le` buckets have it.

        Args:
            per_range: bounds in a range from one power of two of nanoseconds to the next: 1, 2, 4 or 8. From a
                microsecond to a minute that is 26 ranges.

        Raises:
            ValueError: `per_range` is another number.
        """
        if per_range not in (1, 2, 4, 8):
            msg = f"buckets() takes 1, 2, 4 or 8 bounds a range, not {per_range!r}"
            raise ValueError(msg)
        below, step = 0, SUBS // per_range
        for bucket, count in enumerate(self.counts):
            below += count
            if FIRST <= bucket + 1 <= LAST and not (bucket + 1) % step:
                yield lower_bound(bucket + 1) * NS, below

    def each(self) -> Iterator[tuple[float, int]]:
        """Go through (seconds in the middle of the bucket, how many) of the buckets that have any."""
        for bucket, count in enumerate(self.counts):
            if count:
                yield (lower_bound(bucket) + lower_bound(bucket + 1)) / 2 * NS, count

    def __sub__(self, earlier: Histogram) -> Histogram:
        """Return what was recorded since."""
        counts = tuple(now - then for now, then in zip(self.counts, earlier.counts, strict=True))
        return Histogram(counts, self.sum - earlier.sum)

    def __add__(self, other: Histogram) -> Histogram:
        """Return both together."""
        counts = tuple(one + two for one, two in zip(self.counts, other.counts, strict=True))
        return Histogram(counts, self.sum + other.sum)

    def __repr__(self) -> str:
        """Show what is asked for first: the counts are long."""
        shown = ", ".join(f"p{share * 100:g}={self.percentile(share):.6f}" for share in (0.5, 0.99, 1))
        return f"Histogram(count={self.count}, sum={self.sum:.6f}, {shown})"


FIRST: Final = bucket_of(1 << 10)
LAST: Final = bucket_of(1 << 36)
"""Exported bounds are in 1.024 us..68.7 s."""
