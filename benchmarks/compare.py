"""Old figures beside new ones: which changed by more than noise.

    python -m benchmarks.compare OLD.json NEW.json

A ratio or a count changed when the two intervals are apart by more than MARGIN, which is what identical sides differ by
from one process to the next. A time may be apart because the machine had something else to do, and so may a figure of
too few turns to have a 95 % interval: those have only `moved`. A figure without an interval is shown and not judged.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks._results import ResultsError, manner, read
from benchmarks._stats import CONFIDENCE

MARGIN = 0.02
TIMES = ("ns", "us", "ms", "s")
ORDER = ("changed", "moved", "?", "same")


@dataclass(frozen=True)
class Change:
    """One figure, before and after."""

    name: str
    old: Mapping[str, Any]
    new: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        """Say `changed`, `moved`, `same` when the intervals meet, or `?` when there is an end missing."""
        ends = [self.old["low"], self.old["high"], self.new["low"], self.new["high"]]
        if None in ends:
            return "?"
        low, high, new_low, new_high = ends
        if max(new_low - high, low - new_high) <= MARGIN * abs(self.old["value"]):
            return "same"
        is_sure = min(self.old.get("sure", 0), self.new.get("sure", 0)) >= CONFIDENCE
        return "changed" if is_sure and self.new["unit"].split()[0] not in TIMES else "moved"

    @property
    def percent(self) -> str:
        """Return by how much, as a share of the old figure."""
        return f"{self.new['value'] / self.old['value'] - 1:+.1%}" if self.old["value"] else ""


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Pair the figures that both files have."""
    before = {_key(record): record for record in old["results"]}
    for record in new["results"]:
        if (found := before.get(_key(record))) and "FAILED" not in (found["verdict"], record["verdict"]):
            yield Change(", ".join(_key(record)), found, record)


def _key(record: Mapping[str, Any]) -> tuple[str, str, str]:
    return record["benchmark"], record["name"], record["loop"]


def lines(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Say what changed, first the figures that did."""
    before, after = ({**data["machine"], **data["machine"]["versions"]} for data in (old, new))
    for key in ("system", "cpu", "python", *new["machine"]["versions"]):
        was, now = before.get(key), after.get(key)
        if was != now and was is not None:
            yield f"note: {key} was {was} and is {now}; the change may be due to that"
    for name, run in new["runs"].items():
        was = old["runs"].get(name, run)
        if any(was[key] != run[key] for key in ("quick", "rounds")):
            yield f"note: {name} was {manner(was)}, and is {manner(run)}"
    found = sorted(changes(old, new), key=lambda change: ORDER.index(change.verdict))
    for change in found:
        yield (
            f"  {change.verdict:7} {change.name}: {span(change.old)} -> {span(change.new)} "
            f"{change.new['unit']} {change.percent}"
        )
    count = {verdict: sum(change.verdict == verdict for change in found) for verdict in ORDER}
    yield (
        f"of {len(found)} figures {count['changed']} changed beyond noise; {count['moved']} moved, which noise may "
        f"explain; {count['?']} have no interval"
    )
    alone = len(old["results"]) + len(new["results"]) - 2 * len(found)
    if alone:
        yield f"{alone} figures are in one of the files only"


def span(record: Mapping[str, Any]) -> str:
    """Return a figure with its interval."""
    if record["low"] is None:
        return f"{record['value']:.4g}"
    return f"{record['value']:.4g} [{record['low']:.4g}, {record['high']:.4g}]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare two files; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description="Compare two runs.")
    parser.add_argument("old", metavar="OLD.json")
    parser.add_argument("new", metavar="NEW.json")
    args = parser.parse_args(arguments)
    try:
        old, new = read(args.old), read(args.new)
    except ResultsError as error:
        parser.exit(2, f"{error}\n")
    print(*lines(old, new), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
