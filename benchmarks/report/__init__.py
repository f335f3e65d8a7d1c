"""Pages made of a file of results: plots, tables, a self-contained HTML page. No figure in them is typed by hand.

    python -m benchmarks.report docs/benchmarks.json --pages      write .md, .html, plots; tables in README and docs
    python -m benchmarks.report docs/benchmarks.json --pages --check    exit with 1 if one is not what it gives

`_sections.py` says what is told, in which order; `_markdown.py` and `_html.py` write it down, `_plots.py` draws;
`_tables.py` has the tables that stand in other pages, between marks. Pages and plots name the file that they were made
of by its hash, so that --check needs no matplotlib, whose next version draws the same plot with other digits.
"""
