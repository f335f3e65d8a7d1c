"""The file of results: written after every row, so that a run that was interrupted goes on where it was.

Problem: a whole run at full length takes hours, and the figures that matter most are wanted at full length all the
same. What we do: one file may be composed of several commands' figures, and says of each benchmark with which options
and which code it was measured, and when; the pages say so beside its figures.

Invariants: one file holds figures of one machine, or it is refused; the file on the disk is whole at every moment (it
is replaced, never written into); a benchmark's rows are all of one set of options and of one state of the code. It is
done when nothing of it was skipped and it was measured with this code, and at least as long as is asked now: a full
figure stands where a quick one would do, not the other way round. What is not done is measured anew, and its old rows
go with the first new one - but for rows of the same options and code of a benchmark with `KEEPS_ROWS`, whose every row
stands for itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FORMAT = 3
SAME = ("system", "cpu", "cpus", "python")
"""What of the machine must agree; of the packages' versions, those that both have."""

MEANT = ("quick", "loops", "rounds", "code")
"""What rows that stand beside each other must have in common."""


class ResultsError(Exception):
    """A file of results that cannot be used, with what to type instead."""


class Results:
    """The figures of a file, or of one command if there is no path."""

    def __init__(self, path: str | None, machine: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        """Begin, or go on with what is in the file; raise ResultsError if that was another machine.

        Args:
            path: The file, None to keep nothing.
            machine: What all figures have in common.
            asked: How benchmarks are measured now: options, the code's state and the date.
        """
        self.path = path
        self.asked = dict(asked)
        self.spent = 0.0  # seconds on the rows that were kept
        self.data: dict[str, Any] = {
            "format": FORMAT,
            "machine": dict(machine),
            "runs": {},
            "skipped": [],
            "results": [],
        }
        if path is not None and os.path.exists(path):
            found = read(path)
            refuse_other(path, found["machine"], machine)
            found["machine"]["versions"] |= machine["versions"]
            self.data = found
        elif path is not None and not os.path.isdir(os.path.dirname(path) or "."):
            raise ResultsError(f"--json {path}: there is no such directory. Type: mkdir -p {os.path.dirname(path)}")

    def is_done(self, benchmark: str) -> bool:
        """Report whether a benchmark was measured to its end, with this code and at least as long as is asked."""
        run = self.data["runs"].get(benchmark, {})
        return (
            is_finished(self.data, benchmark)
            and all(record["benchmark"] != benchmark for record in self.data["skipped"])
            and run["code"] == self.asked["code"]
            and run["quick"] <= self.asked["quick"]
            and run["rounds"] >= self.asked["rounds"]
            and set(run["loops"]) >= set(self.asked["loops"])
        )

    def begin(self, benchmark: str, keeps_rows: bool) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the rows of a benchmark that need not be measured again; forget the others."""
        run = self.data["runs"].get(benchmark, {})
        keeps_rows = keeps_rows and all(run.get(key) == self.asked[key] for key in MEANT)
        mine = [record for record in self.data["results"] if record["benchmark"] == benchmark]
        kept = [record for record in mine if keeps_rows and record["verdict"] != "FAILED"]
        self.data["results"] = [record for record in self.data["results"] if record not in mine or record in kept]
        self.data["skipped"] = [record for record in self.data["skipped"] if record["benchmark"] != benchmark]
        self.data["runs"][benchmark] = dict(self.asked)
        self.spent = run.get("seconds", 0.0) if kept else 0.0
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
        run = self.data["runs"][benchmark]
        run |= {"seconds": round(self.spent + seconds, 1), "load": [round(load, 2) for load in loads]}
        self.save()

    def of(self, names: Iterable[str]) -> list[dict[str, Any]]:
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


def is_finished(data: Mapping[str, Any], benchmark: str) -> bool:
    """Report whether a benchmark was measured to its end."""
    return "seconds" in data["runs"].get(benchmark, {})


def manner(run: Mapping[str, Any]) -> str:
    """Say how a benchmark was measured."""
    code = (run["commit"] or "unknown")[:12] + (", with changes" if run["dirty"] else "")
    return f"{'quick' if run['quick'] else 'full'}, {run['rounds']} rounds, {run['date']}, commit {code}"


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


def refuse_other(path: str, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Raise ResultsError if the figures of one machine must not stand beside those of another."""
    pairs = {key: (there.get(key), here.get(key)) for key in SAME}
    pairs |= {name: (there["versions"].get(name, version), version) for name, version in here["versions"].items()}
    differ = [f"{key}: {old} there, {new} now" for key, (old, new) in pairs.items() if old != new]
    if differ:
        raise ResultsError(
            f"{path} holds figures of another machine, which do not mix with this one's:\n  "
            + "\n  ".join(differ)
            + f"\nGo on there, name another file, or measure anew: rm {path}\n"
            + f"To see the old figures beside new ones: --json OTHER.json --compare {path}"
        )
