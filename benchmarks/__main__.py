"""Run the benchmarks and print what was measured beside what is promised.

    python -m benchmarks [--quick] [--only NAME ...] [--loops asyncio,uvloop] [--json FILE] [--gate]

The exit code is 0 even when a bound is missed, as a noisy neighbour is no reason to stop a build; with --gate it is 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks._harness import Options, Promise, Row, judge, unanswered
from benchmarks._worker import WorkerError

NAMES = (
    "latency",
    "burst",
    "throughput",
    "step",
    "metrics",
    "recording",
    "monitor",
    "echo",
    "service",
    "micro",
    "memory",
    "timeout",
    "scan",
    "stress",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; return the exit code."""
    args = _parse(arguments)
    opt = Options(args.quick, tuple(args.loops.split(",")), args.rounds)
    machine = describe_machine(opt)
    print("  ".join(f"{key} {value}" for key, value in machine.items()))
    records: list[dict[str, Any]] = []
    for name in args.only or NAMES:
        records += run_one(name, opt)
    missed = [record for record in records if record["verdict"] in ("MISSED", "FAILED")]
    judged = [record for record in records if record["verdict"]]
    print(f"\n{len(judged) - len(missed)} of {len(judged)} promises kept")
    for record in missed:
        print(f"  {record['verdict']}: {record['benchmark']}, {record['name']}, {record['loop']}")
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"machine": machine, "results": records}, file, indent=1)
    return 1 if missed and args.gate else 0


def run_one(name: str, opt: Options) -> list[dict[str, Any]]:
    """Run one benchmark, print its rows as they come, and return them with their verdicts."""
    module = importlib.import_module(f"benchmarks.{name}")
    promises: Sequence[Promise] = module.PROMISES
    print(f"\n{name}: {(module.__doc__ or '').partition(chr(10))[0]}")
    start = time.perf_counter()
    rows: list[Row] = []
    records = []
    try:
        for row in module.run(opt):
            rows.append(row)
            promise, is_kept = judge(row, promises)
            verdict = "" if is_kept is None else "ok" if is_kept else "MISSED"
            bound = f"{promise.direction} {promise.bound:g}" if promise else ""
            print(f"  {verdict:6} {row.loop:9} {row.name}: {row.value:.3f} {row.unit} {bound} ({row.note})", flush=True)
            records.append(dataclasses.asdict(row) | {"benchmark": name, "bound": bound, "verdict": verdict})
    except WorkerError as error:
        print(f"  FAILED {error}")
    for promise, loop in unanswered(rows, promises, opt.loops):
        print(f"  FAILED {loop:9} {promise.name}: not measured")
        bound = f"{promise.direction} {promise.bound:g}"
        blank = Row(promise.name, loop, float("nan"), "not measured", promise.unit)
        records.append(dataclasses.asdict(blank) | {"benchmark": name, "bound": bound, "verdict": "FAILED"})
    print(f"  ({time.perf_counter() - start:.0f} s)")
    return records


def describe_machine(opt: Options) -> dict[str, Any]:
    """Say what the figures belong to; a load near the number of CPUs explains a bad p99."""
    machine: dict[str, Any] = {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "quick": opt.quick,
        "rounds": opt.rounds,
    }
    if "uvloop" in opt.loops:
        machine["uvloop"] = importlib.metadata.version("uvloop")
    return machine


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure what is promised.")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, as many rounds: minutes less, and noisier")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=NAMES, help=f"some of: {', '.join(NAMES)}")
    parser.add_argument("--loops", default="asyncio,uvloop", help="the base loops, separated by a comma")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side's process is started anew")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--gate", action="store_true", help="exit with 1 when a promise is not kept")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
