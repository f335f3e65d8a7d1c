"""Run the benchmarks and print what was measured beside what is promised.

    python -m benchmarks [--quick] [--only NAME ...] [--loops asyncio,uvloop] [--json FILE] [--compare OLD.json]

With --json every row is written as it comes, and the same command goes on where it was interrupted. What the file has
of a --quick run is measured anew by a command without it, the rest is left. The exit code is 0 even when a bound is
missed, as a noisy neighbour is no reason to stop a build; `benchmarks.gate` is for that.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import importlib
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import _machine, compare
from benchmarks._harness import Options, Promise, Row, Skipped, judge, unanswered
from benchmarks._names import NAMES, QUESTIONS
from benchmarks._results import Results, ResultsError, is_finished, manner, read
from benchmarks._stats import Estimate
from benchmarks._worker import WorkerError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; return the exit code."""
    parser = build_parser()
    args = parser.parse_args(arguments)
    try:
        old = read(args.compare) if args.compare else None
        results = measure(args.only or NAMES, options_of(parser, args), args.json)
    except ResultsError as error:
        parser.exit(2, f"{error}\n")
    except KeyboardInterrupt:
        on = f"; the same command goes on from there with {args.json}" if args.json else ", and there is no --json FILE"
        parser.exit(130, f"\ninterrupted{on}\n")
    summary(results, args.only or NAMES)
    if old is not None:
        print(f"\nagainst {args.compare}:", *compare.lines(old, results.data), sep="\n")
    return 0


def measure(names: Sequence[str], opt: Options, path: str | None) -> Results:
    """Run the benchmarks that the file at `path`, if there is one, does not have yet; return all results."""
    machine = _machine.describe()
    options = {"quick": opt.quick, "loops": list(opt.loops), "rounds": opt.rounds}
    asked = options | {"date": str(dt.datetime.now(dt.UTC).date())} | _machine.code_state()
    results = Results(path, machine, asked)
    print(*(f"{key}: {value}" for key, value in (machine | asked).items()), sep="\n")
    for at, name in enumerate(names, 1):
        print(f"\n[{at}/{len(names)}] {name}: {QUESTIONS.get(name, '')}", flush=True)
        before = results.data["runs"].get(name, {})
        if results.is_done(name):
            print(f"  (done before: {manner(before)})")
            continue
        if is_finished(results.data, name):
            print(f"  (measured anew; before: {manner(before)})")
        run_one(name, opt, results)
    return results


def run_one(name: str, opt: Options, results: Results) -> None:
    """Run one benchmark, print its rows as they come, and keep them with their verdicts."""
    module = importlib.import_module(f"benchmarks.{name}")
    promises: Sequence[Promise] = module.PROMISES
    start, load = time.perf_counter(), os.getloadavg()[0]
    kept = results.begin(name, getattr(module, "KEEPS_ROWS", False))
    if kept:
        print(f"  ({len(kept)} rows were measured before)")
    skips = False
    rows: list[Row] = [Row(*key, record["value"]) for key, record in kept.items()]
    try:
        for row in module.run(dataclasses.replace(opt, have=frozenset(kept))):
            if isinstance(row, Skipped):
                skips = True
                results.skip(name, row.what, row.why)
                print(f"  skipped {row.what}: {row.why}", flush=True)
                continue
            rows.append(row)
            promise, verdict = judge(row, promises)
            record = record_of(name, row, promise, verdict)
            results.add(record)
            print(f"  {verdict:6} {row.loop:9} {described(record)} ({row.note})", flush=True)
    except WorkerError as error:
        skips = False
        print(f"  FAILED {error}")
    for promise, loop in unanswered(rows, promises, opt.loops) if not skips else ():
        print(f"  FAILED {loop:9} {promise.name}: not measured")
        results.add(record_of(name, Row(promise.name, loop, 0.0, "not measured", promise.unit), promise, "FAILED"))
    seconds = time.perf_counter() - start
    results.end(name, seconds, (load, os.getloadavg()[0]))
    print(f"  ({seconds:.0f} s)")


def record_of(name: str, row: Row, promise: Promise | None, verdict: str) -> dict[str, Any]:
    """Return what the file keeps of a row."""
    return _rounded(_raw(name, row, promise, verdict))


def _rounded(thing: Any) -> Any:
    """Return the same with six digits for each figure: more than is known, and a file that can be read."""
    if isinstance(thing, dict):
        return {key: _rounded(each) for key, each in thing.items()}
    if isinstance(thing, list | tuple):
        return [_rounded(each) for each in thing]
    return float(f"{thing:.6g}") if isinstance(thing, float) else thing


def _raw(name: str, row: Row, promise: Promise | None, verdict: str) -> dict[str, Any]:
    low = high = sure = None
    if isinstance(row.value, Estimate):
        low, high, sure = row.value.low, row.value.high, row.value.sure
    return {
        "benchmark": name,
        "name": row.name,
        "loop": row.loop,
        "value": float(row.value),
        "low": low,
        "high": high,
        "sure": sure,
        "unit": row.unit,
        "note": row.note,
        "bound": f"{promise.direction} {promise.bound:g}" if promise else "",
        "verdict": verdict,
    } | ({"data": dict(row.data)} if row.data else {})


def described(record: Mapping[str, Any]) -> str:
    """Return a row's figure in words."""
    interval = f" [{record['low']:.3f}, {record['high']:.3f}]" if record["low"] is not None else ""
    return f"{record['name']}: {record['value']:.3f}{interval} {record['unit']} {record['bound']}"


def summary(results: Results, names: Sequence[str]) -> None:
    """Say which promises were kept."""
    judged = [record for record in results.of(list(names)) if record["verdict"]]
    kept = [record for record in judged if record["verdict"] == "ok"]
    print(f"\n{len(kept)} of {len(judged)} promises kept")
    for record in judged:
        if record["verdict"] != "ok":
            print(f"  {record['verdict']}: {record['benchmark']}, {record['loop']}, {described(record)}")


def build_parser(prog: str = "python -m benchmarks") -> argparse.ArgumentParser:
    """Return the parser of what all runs have in common."""
    parser = argparse.ArgumentParser(prog=prog, description="Measure what is promised.")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, as many rounds: minutes less, and noisier")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=NAMES, help=f"some of: {', '.join(NAMES)}")
    parser.add_argument("--loops", default="asyncio,uvloop", help="the base loops, separated by a comma")
    parser.add_argument("--rounds", type=int, default=6, help="how often each side's process is started anew")
    parser.add_argument("--json", metavar="FILE", help="write all figures there, and go on from there")
    parser.add_argument("--compare", metavar="OLD.json", help="say at the end what changed since then beyond noise")
    return parser


def options_of(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Options:
    """Check what was typed."""
    loops = tuple(args.loops.split(","))
    if unknown := [loop for loop in loops if loop not in ("asyncio", "uvloop")]:
        parser.error(f"--loops {args.loops}: {unknown[0]!r} is not a base loop. Type, for example: --loops asyncio")
    if "uvloop" in loops and _machine.version_of("uvloop") is None:
        parser.error("--loops: uvloop is not installed. Type: pip install uvloop, or leave it out: --loops asyncio")
    if args.rounds < 1:
        parser.error(f"--rounds {args.rounds}: at least 1; from 6 on the intervals have 95 %")
    return Options(args.quick, loops, args.rounds)


if __name__ == "__main__":
    sys.exit(main())
