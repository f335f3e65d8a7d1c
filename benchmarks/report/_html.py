"""The report as one HTML file: style and plots inside it, nothing loaded from elsewhere, light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape

from benchmarks.report._sections import Section, Table
from benchmarks.report._theme import css

STYLE = """
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.55 system-ui, -apple-system, "Segoe UI",
  Helvetica, Arial, sans-serif }
main { max-width: 1000px; margin: 0 auto; padding: 40px 24px 80px }
h1 { font-size: 30px; margin: 0 0 4px; letter-spacing: -0.01em }
h2 { font-size: 20px; margin: 56px 0 6px } h3 { font-size: 16px; margin: 36px 0 6px }
p { max-width: 75ch; margin: 6px 0 14px; color: var(--soft) }
nav { margin: 18px 0 0; display: flex; flex-wrap: wrap; gap: 4px 18px }
a { color: var(--blue); text-decoration: none } a:hover { text-decoration: underline }
figure { margin: 14px 0 22px; padding: 10px; border: 1px solid var(--grid); border-radius: 10px; overflow-x: auto }
figure svg { display: block; width: 100%; height: auto; min-width: 680px }
.wide { overflow-x: auto; margin: 0 0 22px }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13.5px; min-width: 60% }
th, td { padding: 5px 14px 5px 0; border-bottom: 1px solid var(--grid); text-align: right; vertical-align: top }
th { color: var(--soft); font-weight: 500 } th:first-child, td:first-child { text-align: left }
tr.ours td { font-weight: 600 }
td { white-space: nowrap }
.words { text-align: left; padding-left: 14px } td.words { color: var(--soft); white-space: normal; min-width: 17em }
td.ok { color: var(--teal) } td.unsure { color: var(--amber) }
td.MISSED, td.FAILED { color: var(--red); font-weight: 600 }
p.measured { font-size: 13px; max-width: none }
code { font: 0.92em ui-monospace, "SF Mono", Menlo, Consolas, monospace }
"""


def page(parts: Iterable[Section], plots: Mapping[str, str], source: str, digest: str) -> str:
    """Return the page; `plots` are SVG texts by name."""
    parts = list(parts)
    body = [
        "<h1>preemptio: benchmarks</h1>",
        f"<p>Written by <code>python -m benchmarks.report</code> from {escape(source)}: no figure is typed.</p>",
        "<nav>"
        + "".join(f'<a href="#{_slug(part.title)}">{escape(part.title)}</a>' for part in parts if part.level == 2)
        + "</nav>",
    ]
    for part in parts:
        body.append(f'<h{part.level} id="{_slug(part.title)}">{escape(part.title)}</h{part.level}>')
        body.append(f"<p>{_inline(part.text)}</p>")
        if part.measured:
            body.append(f"<p class=measured>{_inline(part.measured)}</p>")
        if part.plot in plots:
            body.append(f'<figure role="img" aria-label="{escape(part.alt)}">{_inner(plots[part.plot])}</figure>')
        body += [_table(table) for table in part.tables]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>preemptio: benchmarks</title>\n<!-- made of {source}, {digest} -->\n"
        f"<style>{css(':root')}{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")


def _inline(text: str) -> str:
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text).replace("&lt;=", "≤").replace("&gt;=", "≥"))
    return re.sub(r"\[([^]]+)\]\((#[^)]+)\)", r'<a href="\2">\1</a>', text)


def _inner(svg: str) -> str:
    """Return the picture alone: without its XML header, and without the style that the page has itself."""
    return re.sub(r"<style>.*?</style>", "", svg[svg.index("<svg") :], count=1, flags=re.DOTALL)


def _table(table: Table) -> str:
    pairs = not any(table.header)
    head = "".join(f"<th{_class('', table, at)}>{escape(name)}</th>" for at, name in enumerate(table.header))
    rows = []
    for row in table.rows:
        cells = "".join(f"<td{_class(cell, table, at)}>{_inline(cell)}</td>" for at, cell in enumerate(row))
        rows.append(f"<tr{' class=ours' if row[0].startswith('preemptio, ') else ''}>{cells}</tr>")
    return f'<div class="wide"><table>{"" if pairs else f"<tr>{head}</tr>"}{"".join(rows)}</table></div>'


def _class(cell: str, table: Table, column: int) -> str:
    if cell in ("ok", "unsure", "MISSED", "FAILED"):
        return f" class={cell}"
    return " class=words" if column and table.is_words(column) else ""
