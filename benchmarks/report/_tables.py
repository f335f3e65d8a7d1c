"""The tables in the project's other pages, each between two marks; what a page says besides is not touched.

A file of results need not have all benchmarks: a table without figures is a line with the command that makes them.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks import actor, monitor, scan, service
from benchmarks._results import is_finished, manner
from benchmarks.report._markdown import WIDTH, table_lines
from benchmarks.report._sections import Record, Table, number, of, span

Find = Callable[[str, str, str], Record | None]
"""A row by benchmark, name and loop."""

COSTS = (
    ("a step, one task ready", "step", "1 tasks"),
    ("a step, 100 tasks ready", "step", "100 tasks"),
    ("starting and awaiting an empty task", "micro", "go() and await"),
    ("requests a CPU second, streams", "echo", "streams, a CPU second"),
    ("memory of a waiting task", "memory", "a parked task"),
)


def cost(find: Find, loops: Sequence[str]) -> Iterator[str]:
    """Tell the ratios against the stock loop."""
    rows = [[label, *(_cell(find(name, row, loop)) for loop in loops)] for label, name, row in COSTS]
    yield from table_lines(Table(["", *loops], [row for row in rows if any(row[1:])]))
    yield from _text(
        "Times the stock loop's own: the median of turns, and the interval that holds it; more is better for "
        "requests only."
    )


def under_load(find: Find, loops: Sequence[str]) -> Iterator[str]:
    """Tell how late a service's health check is, in each way to compute beside it."""
    header = [f"{what}, {loop}" for loop in loops for what in ("`/health` p99", "failed", "computations")]
    rows = []
    for way in service.WAYS:
        pairs = [(find("service", f"{row}, {way}", loop), unit) for loop in loops for row, unit in UNDER_LOAD]
        rows.append([way, *(f"{number(found['value'])}{unit}" if found else "" for found, unit in pairs)])
    yield from table_lines(Table(["", *header], rows))
    alone = [(loop, found) for loop in loops if (found := find("service", "/health without load", loop))]
    if alone:
        told = " and ".join(f"{_cell(found)} times the requests of stock {loop}" for loop, found in alone)
        yield from _text(f"Where nothing computes, a preempted loop answers {told}.")


UNDER_LOAD = (("/health p99", " ms"), ("failed requests", ""), ("computations", " /s"))


def ray_actor(find: Find, _loops: Sequence[str]) -> Iterator[str]:
    """Tell what an actor's calls cost, and how late its health check is."""
    rows = [
        [label, "1", _times(find("actor", actor.CALLS.format(together), "preempted"))]
        for label, together in (
            ("calls a second, one after the other", 1),
            (f"calls a second, {actor.TOGETHER} under way", actor.TOGETHER),
        )
    ]
    beside = f"a health check beside {actor.CRUNCHES} computations of {actor.CRUNCH} s"
    for label, row in ((f"{beside}, median", "p50"), ("the same, the slowest", "worst")):
        pair = [find("actor", f"{actor.HEALTH}, {row}", side) for side in ("Ray's", "preempted")]
        rows.append([label, *(f"{number(found['value'])} ms" if found else "" for found in pair)])
    yield from table_lines(Table(["", "Ray's loop", "preempted"], rows))


def scanned(find: Find, loops: Sequence[str]) -> Iterator[str]:
    """Tell what a scan costs the program beside it."""
    rows = []
    for what in ("leaks", "retained"):
        for label, name, unit in (
            ("a timer beside it is late, 99 %", "lateness p99", " ms"),  # slices of a millisecond
            (f"pause, {scan.GS:,} Gs", f"pause, {scan.GS} Gs", " ms"),
            ("objects a second", "objects", " million"),
        ):
            found = [find("scan", f"{what}: {name}", loop) for loop in loops]
            rows.append([f"`{what}`: {label}", *(f"{number(r['value'])}{unit}" if r else "" for r in found)])
    yield from table_lines(Table(["", *loops], rows))
    others = [(name, r) for name in scan.OTHERS if (r := find("scan", f"{name}: objects", "asyncio"))]
    if others:
        told = ", ".join(f"`{name}` {number(r['value'])}" for name, r in others)
        yield from _text(
            f"The program stands still while others look at a heap; in million objects a second, each for what comes "
            f"closest: {told}."
        )


def console(find: Find, loops: Sequence[str]) -> Iterator[str]:
    """Tell how soon the monitor answers."""
    rows = [
        [label, *(f"{number(r['value'])} ms" if (r := find("monitor", f"{name}, p95", loop)) else "" for loop in loops)]
        for label, name in (
            *((f"`{command}`", name) for name, command in monitor.COMMANDS.items()),
            ("the page, from one update to the next", "page, between updates"),
        )
    ]
    yield from table_lines(Table(["95 %", *loops], rows))


def _cell(record: Record | None) -> str:
    return f"{number(record['value'])} ({span(record)})" if record else ""


def _times(record: Record | None) -> str:
    return f"{number(record['value'])} x ({span(record)})" if record else ""


def _text(text: str) -> list[str]:
    return ["", *textwrap.wrap(text, WIDTH)]


Write = Callable[[Find, Sequence[str]], Iterator[str]]

TABLES: Mapping[str, tuple[Write, tuple[str, ...]]] = {
    "cost": (cost, ("step", "micro", "echo", "memory")),
    "service": (under_load, ("service",)),
    "actor": (ray_actor, ("actor",)),
    "scan": (scanned, ("scan",)),
    "monitor": (console, ("monitor",)),
}
"""What writes each table, and the benchmarks whose figures it has."""

PAGES: Mapping[str, tuple[str, ...]] = {
    "README.md": ("cost",),
    "docs/servers.md": ("service", "actor"),
    "docs/howto.md": ("scan",),
    "docs/monitor.md": ("monitor",),
}
"""The pages with tables, from the project's root, and which they have."""


def marks(name: str) -> tuple[str, str]:
    """Return the lines that a table stands between."""
    return f"<!-- {name}: written by python -m benchmarks.report -->", f"<!-- /{name} -->"


def table(name: str, data: Mapping[str, Any], source: str, figures: str) -> str:
    """Return a table with its marks.

    Args:
        name: Which.
        data: The results.
        source: The file of results, for the command that makes what it lacks.
        figures: The page of all figures, seen from the page with the table.
    """
    begin, end = marks(name)
    write, wanted = TABLES[name]
    have = [each for each in wanted if of(data, each)]
    lacks = [each for each in wanted if each not in have]
    lines: list[str] = []
    if have:
        rows = {(r["benchmark"], r["name"], r["loop"]): r for each in have for r in of(data, each)}
        loops = list(dict.fromkeys(loop for each in have for loop in data["runs"][each]["loops"]))
        lines += [*write(lambda *key: rows.get(key), loops), *_text(_provenance(data, have, figures))]
    if lacks:
        command = f"python -m benchmarks --only {' '.join(lacks)} --json {source}"
        lines += ["", f"Not measured yet: `{command}` makes the figures."]
    return "\n".join([begin, *([""] if have else []), *lines, "", end])


def _provenance(data: Mapping[str, Any], names: Sequence[str], figures: str) -> str:
    """Say on what the figures were measured, and how."""
    machine, manners = data["machine"], {name: manner(data["runs"][name]) for name in names}
    load = max((load for name in names if is_finished(data, name) for load in data["runs"][name]["load"]), default=0.0)
    if len(set(manners.values())) == 1:
        how = manners[names[0]]
    else:
        how = "; ".join(f"{name} {each}" for name, each in manners.items())
    return (
        f"Measured {how}; CPython {machine['python']}, {machine['cpus']} CPUs, load up to {load:.1f}. "
        f"[All figures]({figures}#{names[0] if len(names) == 1 else 'what-is-promised'})."
    )


def with_tables(text: str, page: str, data: Mapping[str, Any], source: str, figures: str) -> str:
    """Return a page with its tables between their marks; raise ValueError if it lacks one."""
    for name in PAGES[page]:
        begin, end = marks(name)
        between = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if len(between.findall(text)) != 1:
            raise ValueError(f"{page} has lost its marks. Put these two lines where the table belongs:\n{begin}\n{end}")
        made = table(name, data, source, figures)
        text = between.sub(lambda _, made=made: made, text)
    return text
