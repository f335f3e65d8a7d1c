"""The report as Markdown: what a repository shows, with the plots as files beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.report._sections import Section, Table, number, of, span

WIDTH = 118
BEGIN, END = "<!-- cost: written by python -m benchmarks.report -->", "<!-- /cost -->"


def page(parts: Iterable[Section], source: str, plots: str, digest: str) -> str:
    """Return the page.

    Args:
        parts: What it tells.
        source: The name of the file of results.
        plots: The directory of the plots, seen from the page.
        digest: The hash of the file.
    """
    lines = [
        "# Benchmarks",
        "",
        f"<!-- made of {source}, {digest}, by python -m benchmarks.report: do not edit -->",
        "",
        *textwrap.wrap(
            f"Written by `python -m benchmarks.report` from [{source}]({source}); no figure is typed by hand. How it "
            "is measured: [benchmarks/README.md](../benchmarks/README.md). [The same as a page](benchmarks.html).",
            WIDTH,
        ),
    ]
    for part in parts:
        lines += ["", f"## {part.title}", "", *textwrap.wrap(part.text, WIDTH)]
        if part.plot:
            lines += ["", f"![{part.alt}]({plots}/{part.plot}.svg)"]
        for table in part.tables:
            lines += ["", *table_lines(table)]
    return "\n".join(lines) + "\n"


def table_lines(table: Table) -> list[str]:
    """Return a table's lines."""
    rule = ["---", *(["---:"] * (len(table.header) - 1))]
    return ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in (table.header, rule, *table.rows)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<=", "≤").replace(">=", "≥")


README_ROWS = (
    ("a step, one task ready", "step", "1 tasks"),
    ("a step, 100 tasks ready", "step", "100 tasks"),
    ("starting and awaiting an empty task", "micro", "go() and await"),
    ("requests a CPU second, streams", "echo", "streams, a CPU second"),
    ("memory of a waiting task", "memory", "a parked task"),
)


def readme_table(data: Mapping[str, Any]) -> str:
    """Return README's table with its marks: a ratio against the stock loop for each loop."""
    loops = data["options"]["loops"]
    found = {
        (r["benchmark"], r["name"], r["loop"]): r
        for name in ("step", "micro", "echo", "memory")
        for r in of(data, name)
    }
    rows = []
    for label, benchmark, name in README_ROWS:
        cells = [found.get((benchmark, name, loop)) for loop in loops]
        if all(cells):
            rows.append([label, *(f"{number(r['value'])} ({span(r)})" for r in cells if r)])
    machine = data["machine"]
    load = max((load for done in data["done"].values() for load in done["load"]), default=0)
    note = (
        "Times the stock loop's own: the median of turns, and the interval that holds it; more is better for requests "
        f"only. CPython {machine['python']}, {machine['cpus']} CPUs with a load of up to {load:.1f}. "
        "[All figures](docs/benchmarks.md), also beside threads, processes, gevent, trio and Go."
    )
    table = table_lines(Table(["", *loops], rows))
    return "\n".join([BEGIN, "", *table, "", *textwrap.wrap(note, WIDTH), "", END])


def with_table(readme: str, data: Mapping[str, Any]) -> str:
    """Return README with the table between its marks."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md has lost its marks. Put these two lines where the table belongs:\n{BEGIN}\n{END}")
    return before + readme_table(data) + after
