"""The gate: exits with 1 when a ratio that the project promises is missed by more than the measurement can err.

    python -m benchmarks.gate [--quick] [--rounds 6] [--json FILE]     measure (or go on with FILE), then judge
    python -m benchmarks.gate --from FILE.json                         judge what was measured before

`GATED` are the benchmarks whose promises are ratios of two things measured in turns, so that they say the same on every
machine (`service` promises some milliseconds as well); each has its bounds in its own `PROMISES`. A promise fails when
its figure's whole interval is beyond the bound (MISSED) or when it was not measured (FAILED). Not part of `make test`:
that must say the same however busy the machine is.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.__main__ import build_parser, described, measure, options_of
from benchmarks._results import ResultsError, is_finished, read

GATED = (
    "latency",
    "throughput",
    "step",
    "metrics",
    "recording",
    "echo",
    "micro",
    "instructions",
    "cost",
    "memory",
    "blocking",
    "service",
)


def failures(data: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Return a line for each gated promise that was broken or not measured."""
    records = [record for record in data["results"] if record["benchmark"] in names]
    lines = [
        f"{record['verdict']}: {record['benchmark']}, {record['loop']}, {described(record)}"
        for record in records
        if record["verdict"] in ("MISSED", "FAILED")
    ]
    return lines + [f"FAILED: {name}, which was not run to its end" for name in names if not is_finished(data, name)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure unless told not to; return 1 when a promise is broken."""
    parser = build_parser("python -m benchmarks.gate")
    parser.add_argument("--from", metavar="FILE", dest="source", help="judge these results, measure nothing")
    args = parser.parse_args(arguments)
    names = args.only or GATED
    if unknown := [name for name in names if name not in GATED]:
        parser.error(f"--only {unknown[0]}: promises no ratio. Gated are: {', '.join(GATED)}")
    if args.source and args.json:
        parser.error("--from measures nothing, so that there is nothing to write: leave --json out")
    try:
        data = read(args.source) if args.source else measure(names, options_of(parser, args), args.json).data
    except ResultsError as error:
        parser.exit(2, f"{error}\n")
    broken = failures(data, names)
    unsure = [r for r in data["results"] if r["benchmark"] in names and r["verdict"] == "unsure"]
    judged = [r for r in data["results"] if r["benchmark"] in names and r["verdict"]]
    print(f"\ngate: {len(judged)} promises, {len(broken)} broken, {len(unsure)} too close to tell")
    print(
        *(f"  unsure: {r['benchmark']}, {r['loop']}, {described(r)}" for r in unsure), sep="\n", end="\n" * bool(unsure)
    )
    print(*(f"  {line}" for line in broken), sep="\n", end="\n" * bool(broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
