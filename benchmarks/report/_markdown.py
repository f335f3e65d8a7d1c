"""The report as Markdown: what a repository shows, with the plots as files beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from benchmarks.report._sections import Section, Table

WIDTH = 118


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
        lines += ["", f"{'#' * part.level} {part.title}", "", *textwrap.wrap(part.text, WIDTH)]
        if part.measured:
            lines += ["", *textwrap.wrap(f"*{part.measured}*", WIDTH)]
        if part.plot:
            lines += ["", f"![{part.alt}]({plots}/{part.plot}.svg)"]
        for table in part.tables:
            lines += ["", *table_lines(table)]
    return "\n".join(lines) + "\n"


def table_lines(table: Table) -> list[str]:
    """Return a table's lines."""
    rule = ["---" if table.is_words(column) else "---:" for column in range(len(table.header))]
    return ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in (table.header, rule, *table.rows)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<=", "≤").replace(">=", "≥")
