"""The file of results: written after every row, so that a run that was interrupted goes on where it was.

Invariants: one file holds figures of one machine, one state of the code and one set of options, or it is refused; the
file on the disk is whole at every moment (it is replaced, never written into); a benchmark is either done, or its rows
are measured again - but for those that keep rows (`KEEPS_ROWS`), whose every row stands for itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FORMAT = 2
SAME = ("system", "cpu", "cpus", "python", "versions", "code")
"""What of the machine must agree. The commit need not: one that leaves the code alone changes no figure."""


class ResultsError(Exception):
    """A file of results that cannot be used, with what to type instead."""


class Results:
    """The figures of one run, on the disk as well if there is a path."""

    def __init__(self, path: str | None, machine: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """Begin, or go on with what is in the file; raise ResultsError if that was another machine, code or options."""
        self.path = path
        self.data: dict[str, Any] = {
            "format": FORMAT,
            "machine": dict(machine),
            "options": dict(options),
            "done": {},
            "skipped": [],
            "results": [],
        }
        if path is not None and os.path.exists(path):
            found = read(path)
            refuse_other(path, found, self.data)
            self.data = found
        elif path is not None and not os.path.isdir(os.path.dirname(path) or "."):
            raise ResultsError(f"--json {path}: there is no such directory. Type: mkdir -p {os.path.dirname(path)}")

    def is_done(self, benchmark: str) -> bool:
        """Report whether a benchmark was measured to its end."""
        return benchmark in self.data["done"]

    def begin(self, benchmark: str, keeps_rows: bool) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the rows of a benchmark that need not be measured again; forget the others."""
        mine = [record for record in self.data["results"] if record["benchmark"] == benchmark]
        kept = [record for record in mine if keeps_rows and record["verdict"] != "FAILED"]
        self.data["results"] = [record for record in self.data["results"] if record not in mine or record in kept]
        self.data["skipped"] = [record for record in self.data["skipped"] if record["benchmark"] != benchmark]
        return {(record["name"], record["loop"]): record for record in kept}

    def add(self, record: dict[str, Any]) -> None:
        """Add a row."""
        self.data["results"].append(record)
        self.save()

    def skip(self, benchmark: str, what: str, why: str) -> None:
        """Note what was not measured, and why."""
        self.data["skipped"].append({"benchmark": benchmark, "what": what, "why": why})
        self.save()

    def end(self, benchmark: str, seconds: float, loads: tuple[float, float]) -> None:
        """Note that a benchmark is done, what it took, and the machine's load before and after."""
        self.data["done"][benchmark] = {"seconds": round(seconds, 1), "load": [round(load, 2) for load in loads]}
        self.save()

    def of(self, names: Iterator[str] | tuple[str, ...] | list[str]) -> list[dict[str, Any]]:
        """Return the rows of these benchmarks, in their order."""
        wanted = list(names)
        rows = [record for record in self.data["results"] if record["benchmark"] in wanted]
        return sorted(rows, key=lambda record: wanted.index(record["benchmark"]))

    def save(self) -> None:
        """Replace the file by what is known now."""
        if self.path is None:
            return
        beside = f"{self.path}.part"
        with open(beside, "w", encoding="utf-8") as file:
            json.dump(self.data, file, indent=1)
            file.write("\n")
        os.replace(beside, self.path)


def read(path: str) -> dict[str, Any]:
    """Return what is in a file of results; raise ResultsError if it is none."""
    try:
        data = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ResultsError(
            f"{path}: {error.strerror}. Measure first: python -m benchmarks --quick --json {path}"
        ) from None
    except ValueError as error:
        raise ResultsError(f"{path} is not JSON ({error}). Name another file, or type: rm {path}") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ResultsError(
            f"{path} is not a file of results as this version of the benchmarks writes it (format {FORMAT}). "
            f"Measure anew: python -m benchmarks --quick --json OTHER.json"
        )
    return data


def refuse_other(path: str, found: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise ResultsError if a file's figures must not stand beside those of this run."""
    pairs = {key: (found["machine"].get(key), now["machine"].get(key)) for key in SAME}
    pairs |= {f"option {key}": (found["options"].get(key), value) for key, value in now["options"].items()}
    differ = [f"{key}: {old} there, {new} now" for key, (old, new) in pairs.items() if old != new]
    if differ:
        raise ResultsError(
            f"{path} holds figures of another machine, code or set of options, which do not mix with this run's:\n  "
            + "\n  ".join(differ)
            + f"\nGo on with what it was measured with, name another file, or measure anew: rm {path}\n"
            + f"To see the old figures beside new ones: --json OTHER.json --compare {path}"
        )
