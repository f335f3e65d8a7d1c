"""Old figures beside new ones: which changed by more than noise.

    python -m benchmarks.compare OLD.json NEW.json

A figure changed when its two intervals have no value in common. With 95 % each that is a strict test: of the figures
that did not change it calls about one in two hundred changed. A figure without an interval is shown and not judged.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks._results import ResultsError, read


@dataclass(frozen=True)
class Change:
    """One figure, before and after."""

    name: str
    old: Mapping[str, Any]
    new: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        """Say `changed`, `same` when the intervals meet, or `?` when there is an end missing."""
        ends = [self.old["low"], self.old["high"], self.new["low"], self.new["high"]]
        if None in ends:
            return "?"
        low, high, new_low, new_high = ends
        return "changed" if new_low > high or new_high < low else "same"

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
    for key in ("system", "cpu", "python", "versions"):
        was, now = old["machine"].get(key), new["machine"].get(key)
        if was != now:
            yield f"note: {key} was {was} and is {now}; the change may be due to that"
    if old["options"] != new["options"]:
        yield f"note: the options were {old['options']} and are {new['options']}"
    found = sorted(changes(old, new), key=lambda change: ("changed", "?", "same").index(change.verdict))
    for change in found:
        yield (
            f"  {change.verdict:7} {change.name}: {span(change.old)} -> {span(change.new)} "
            f"{change.new['unit']} {change.percent}"
        )
    judged = [change for change in found if change.verdict != "?"]
    count = sum(change.verdict == "changed" for change in judged)
    yield f"{count} of {len(judged)} figures changed beyond their intervals; {len(found) - len(judged)} have none"
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
