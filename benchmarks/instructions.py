"""How many instructions the hot paths take: a regression that shows on a machine where no clock can be trusted.

valgrind's callgrind counts them, so that the figure is the same beside any neighbour; it comes to within a percent from
run to run, which the repeats show. It is no time: a cache miss is not in it, and neither is the kernel. The same phases
run on the stock loop.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks._harness import Options, Promise, Row, Skipped, ratio
from benchmarks._phases import ONCE, OURS, REPEATS, phases_of
from benchmarks._stats import median_of
from benchmarks._worker import Side, WorkerError

PATIENCE = 900.0
BOUNDS = {
    "asyncio": {"step": 0.76, "ready": 1.03, "execute": 1.24, "callback": 0.79},
    "uvloop": {"step": 1.78, "ready": 2.31, "execute": 2.54, "callback": 1.62},
}
"""What CPython 3.13 takes, and a tenth more: another interpreter compiles the same lines to other instructions."""

CHECKPOINT = 640.0

PROMISES: tuple[Promise, ...] = ()
if sys.version_info[:2] == (3, 13):
    PROMISES = (
        Promise("checkpoint", "<=", CHECKPOINT, "instructions"),
        *(
            Promise(name, "<=", bound, "x stock", (loop,))
            for loop, bounds in BOUNDS.items()
            for name, bound in bounds.items()
        ),
    )


def count(side: Side) -> dict[str, list[float]]:
    """Return the instructions of each phase, once for each repeat."""
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "out")
        valgrind = ["valgrind", "--tool=callgrind", "--dump-before=getppid", f"--callgrind-out-file={out}"]
        python = [sys.executable, "-m", "benchmarks._phases", json.dumps(dataclasses.asdict(side))]
        environ = os.environ | {"PYTHONHASHSEED": "0"}
        try:
            ran = subprocess.run(
                [*valgrind, *python], env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            raise WorkerError(f"valgrind on {side.kind} {side.base}: hung for {PATIENCE:.0f} s") from None
        if ran.returncode:
            raise WorkerError(f"valgrind on {side.kind} {side.base}: {ran.stderr[-2000:]}")
        found = {int(path.suffix[1:]): path.read_text() for path in Path(directory).glob("out.*")}
    totals = [_total(found[part]) for part in sorted(found)]
    return per_call(totals, phases_of(side.kind))


def per_call(totals: list[int], phases: list[str]) -> dict[str, list[float]]:
    """Read the dumps: each ends at a mark, and three marks belong to a phase: before, between and behind.

    Args:
        totals: The instructions up to the first mark, from there to the second, and so on.
        phases: What was run, in its order.
    """
    if len(totals) != 3 * REPEATS * len(phases):
        raise WorkerError(f"valgrind wrote {len(totals)} dumps, not {3 * REPEATS * len(phases)}")
    calls: dict[str, list[float]] = {name: [] for name in phases}
    for at, name in enumerate(phases * REPEATS):
        once, twice = totals[3 * at + 1 : 3 * at + 3]
        calls[name].append((twice - once) / ONCE)
    return calls


def _total(dump: str) -> int:
    found = re.search(r"^summary: (\d+)$", dump, re.MULTILINE)
    if found is None:
        raise WorkerError("a dump of callgrind without a summary")
    return int(found[1])


def run(opt: Options) -> Iterator[Row | Skipped]:
    """Count all sides at once: they cannot disturb one another's figures."""
    if shutil.which("valgrind") is None:
        yield Skipped("everything", "no valgrind on PATH. Type, for example: apt-get install valgrind")
        return
    sides = [(loop, kind) for loop in opt.loops for kind in ("preempted", "stock")]
    with ThreadPoolExecutor() as pool:  # a slice of a second: valgrind is slow, and a tick is not what is counted
        runs = {side: pool.submit(count, Side(side[1], side[0], 1.0)) for side in sides}  # type: ignore[arg-type]
    for loop in opt.loops:
        ours, stock = runs[loop, "preempted"].result(), runs[loop, "stock"].result()
        for name, counts in ours.items():
            if name in OURS:
                yield Row(name, loop, median_of(counts), f"{len(counts)} repeats", "instructions")
                continue
            value, _ = ratio(counts, stock[name])
            note = f"{statistics.median(counts):.0f} against {statistics.median(stock[name]):.0f} instructions"
            yield Row(name, loop, value, note, "x stock")
