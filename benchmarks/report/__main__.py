"""The command: read the results, write the pages beside them."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks._results import ResultsError, read
from benchmarks.report import _html, _markdown, _tables
from benchmarks.report._sections import sections

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the pages; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="Make pages of a file of results.")
    parser.add_argument("file", metavar="FILE.json", help="the pages are written beside it")
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 1 if a page is stale")
    parser.add_argument(
        "--pages", action="store_true", help=f"write the tables in {', '.join(_tables.PAGES)}, between their marks"
    )
    args = parser.parse_args(arguments)
    try:
        data = read(args.file)
    except ResultsError as error:
        parser.exit(2, f"{error}\n")
    source = Path(args.file)
    digest = "sha256 " + hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    plots = source.with_suffix("")
    parts = list(sections(data))
    written = {source.with_suffix(".md"): _markdown.page(parts, source.name, plots.name, digest)}
    for page in _tables.PAGES if args.pages else ():
        path = ROOT / page
        figures = os.path.relpath(source.with_suffix(".md").resolve(), path.parent)
        name = os.path.relpath(source.resolve(), ROOT)
        try:
            written[path] = _tables.with_tables(path.read_text("utf-8"), page, data, name, figures)
        except ValueError as error:
            parser.exit(2, f"{error}\n")
    if args.check:
        drawn = [source.with_suffix(".html"), *(plots / f"{part.plot}.svg" for part in parts if part.plot)]
        stale = [path for path, text in written.items() if not path.exists() or path.read_text("utf-8") != text]
        stale += [path for path in drawn if not path.exists() or digest not in path.read_text("utf-8")]
        command = f"python -m benchmarks.report {args.file}{' --pages' * args.pages}"
        for path in stale:
            print(f"{os.path.relpath(path)} is stale. Type: {command}")
        return 1 if stale else 0
    try:
        from benchmarks.report._plots import draw_all

        pictures = draw_all(data)
    except ImportError as error:
        parser.exit(2, f"{error}. The plots need it. Type: pip install 'preemptio[bench]'\n")
    plots.mkdir(exist_ok=True)
    for name, svg in pictures.items():
        written[plots / f"{name}.svg"] = svg + f"<!-- made of {source.name}, {digest} -->\n"
    written[source.with_suffix(".html")] = _html.page(parts, pictures, source.name, digest)
    for path, text in written.items():
        path.write_text(text, "utf-8")
        print(f"wrote {os.path.relpath(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
