"""Stress one loop until it was preempted often enough, or until something is wrong.

    python -m benchmarks.stress [--preemptions 200000] [--slice 200us] [--loop asyncio|uvloop] [--skip WORKER ...]

The exit code is 1 after a crash, a hang, a result that differs, or when hardly anything was preempted.
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks import stress


def seconds(text: str) -> float:
    """Parse `200us`, `1ms` or plain seconds."""
    for suffix, unit in (("us", 1e-6), ("ms", 1e-3), ("s", 1.0)):
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * unit
    return float(text)


def main() -> int:
    """Run, telling the progress every few seconds; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stress", description="Stress one loop.")
    parser.add_argument("--preemptions", type=int, default=200_000, help="how many to go on for")
    parser.add_argument("--slice", type=seconds, default=0.0002, help="the time slice, such as 200us")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio", help="the base loop")
    parser.add_argument(
        "--skip", nargs="+", metavar="WORKER", default=[], help="leave these workers out (`locks`, ...)"
    )
    args = parser.parse_args()
    start = told = time.monotonic()

    def say(line: str) -> None:
        nonlocal told
        if "instead of" in line or time.monotonic() > told + 5:
            told = time.monotonic()
            print(f"{told - start:6.0f} s  {line}", flush=True)

    outcome = stress.compare(args.loop, args.slice, args.preemptions, say, args.skip)
    print(f"{time.monotonic() - start:6.0f} s  {outcome.describe()}")
    for wrong in outcome.wrong[:20]:
        print(f"FAILED: {wrong}")
    if not outcome.wrong:
        print("ok: the same results as without preemption")
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
