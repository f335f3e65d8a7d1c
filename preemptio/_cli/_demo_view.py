"""The demo on a terminal: two progress bars while it measures, then the figures and a histogram, drawn with rich.

Laid out for 80 columns and 24 lines - all that is left standing at the end fits - and wider where there is room. Into
a pipe or a file goes the same text without bars that move, without colors and without control characters.

Context: the main thread. rich's display refreshes in a thread of its own, in this process: the server's and the
client's are not disturbed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from preemptio._cli._args import program_name
from preemptio._cli._demo_measure import CLIENTS, RATE, Plan, measure
from preemptio._cli._demo_stats import FIGURES, Run, bar, buckets, duration, percentile, ratio
from preemptio._cli._rich import SIMPLE_HEAD, BarColumn, Console, Progress, Table, Text, TextColumn
from preemptio._config import Config

COLORS: Final = {"plain": "yellow", "preempted": "green"}

WIDEST: Final = 120
"""Columns that bars and text are spread over; more is hard to read."""


def show(plan: Plan, *, no_color: bool) -> None:
    """Measure what the plan says, with the bars running, and show what was found."""
    console = Console(no_color=no_color or None, highlight=False)
    console.width = min(console.width, WIDEST)
    console.print(_introduction(plan))
    console.print()
    runs = {}
    with _bars(console) as bars:
        ids = {mode: bars.add_task(mode, total=plan.seconds, note="waiting") for mode in plan.modes}
        for mode in plan.modes:
            if not console.is_terminal:
                print(f"measuring: {mode}, {plan.seconds:g} s", flush=True)

            def news(so_far: Mapping[str, Any], mode: str = mode) -> None:
                bars.update(ids[mode], completed=so_far["elapsed"], note=_note(so_far))

            started = time.monotonic()
            runs[mode] = run = measure(mode, plan, news)
            now = {"elapsed": time.monotonic() - started, "answered": run.answered, "p99": percentile(run.health, 0.99)}
            bars.update(ids[mode], completed=plan.seconds, note=_note(now))
    console.print(_table(runs))
    console.print()
    console.print(_histogram(runs, console))
    console.print()
    console.print(_next(plan))


def _introduction(plan: Plan) -> Text:
    slice_ = Config.slice.kind.show(plan.slice)
    loops = {"plain": f"on a plain {plan.loop} loop", "preempted": f"on {plan.loop} preempted, at a slice of {slice_}"}
    return Text(
        f"A server on one thread: health checks, {RATE} a second; a heartbeat every 10 ms; and /crunch, "
        f"0.4 s of pure Python, which {CLIENTS} clients keep busy. "
        f"Measured {', then '.join(loops[mode] for mode in plan.modes)}."
    )


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<9}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[note]}", justify="right"),
        console=console,
        expand=True,
        disable=not console.is_terminal,
    )


def _note(so_far: Mapping[str, Any]) -> str:
    answered, late = so_far["answered"], duration(so_far["p99"])
    return f"{so_far['elapsed']:4.1f} s  {answered:4} answered  p99 {late:>7}"


def _table(runs: Mapping[str, Run]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("")
    for mode in runs:
        table.add_column(mode, justify="right", style=COLORS[mode], min_width=12)
    if len(runs) > 1:
        table.add_column("plain / preempted", justify="right")
    for figure in FIGURES:
        values = [figure.of(run) for run in runs.values()]
        cells = [figure.show(value) for value in values]
        if figure.key == "health_answered":
            cells = [f"{cell} of {run.sent}" for cell, run in zip(cells, runs.values(), strict=True)]
        if len(values) > 1:
            cells.append(ratio(*values))
        table.add_row(figure.name, *cells)
    return table


def _histogram(runs: Mapping[str, Run], console: Console) -> Table:
    """Draw the health checks' latencies, the runs beside each other on one scale."""
    rows = buckets([run.health for run in runs.values()])
    most = max(max(counts) for _, counts in rows)
    label = max(len(name) for name, _ in rows)
    digits = max(len(str(most)), 3)
    room = console.width - label - 2
    width = max(4, room // len(runs) - digits - 4)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", justify="right", width=label)
    for mode in runs:
        table.add_column(f"{mode}: health checks", style=COLORS[mode], width=width + digits + 1, no_wrap=True)
    for name, counts in rows:
        bars = [bar(count, most, width, ascii_only=console.options.ascii_only) for count in counts]
        table.add_row(name, *(f"{drawn} {count or ''}".lstrip() for drawn, count in zip(bars, counts, strict=True)))
    return table


def _next(plan: Plan) -> Text:
    if plan.modes == ("plain",):
        return Text(f"Next, the same with preemption: {program_name()} demo --preempted-only")
    return Text(f"Next, your own program, unchanged: {program_name()} run your_script.py")
