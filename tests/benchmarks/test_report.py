"""The report is what the file gives: every figure from there, nothing loaded from elsewhere, stale pages found."""

import importlib
import json
import re

import pytest

from benchmarks import __main__ as command
from benchmarks._harness import Promise, Row
from benchmarks._names import QUESTIONS
from benchmarks._results import Results
from benchmarks._stats import Estimate
from benchmarks.load import _samples
from benchmarks.report import __main__ as report, _markdown, _sections, _tables, _theme

MACHINE = {
    "system": "Linux 6",
    "cpu": "a <processor> & more",
    "cpus": 2,
    "memory_gb": 8.0,
    "hz": {"hz": 250, "from": "/proc/config.gz"},
    "python": "3.13.0",
    "versions": {"uvloop": "0.23.0"},
}
ASKED = {"quick": True, "loops": ["asyncio"], "rounds": 2, "date": "2026-01-02"}
ASKED |= {"code": "aa", "commit": "0123456789abcdef", "dirty": True}


def load_row(peer, hogs, slice_ms, ms, probe="sleep"):
    """Return a row as the load benchmark gives it."""
    samples = _samples.Samples.of([ms / 1e3 * (1 + i / 100) for i in range(200)])
    data = {
        "probe": probe,
        "hogs": hogs,
        "kind": "calls",
        "peer": peer,
        "family": peer.rpartition(",")[0] if slice_ms else peer,
        "slice_ms": slice_ms,
        "percentiles": samples.percentiles(),
        "max": samples.longest(),
        "count": 200,
        "share": [0.9, 0.8, 1.0],
        "cpus": 0.5,
        "hdr": samples.encoded(),
    }
    return Row(f"{probe}, {hogs} hogs, calls", peer, Estimate(ms, ms * 0.9, ms * 1.1), "", "ms p99", data)


@pytest.fixture
def file(tmp_path):
    """A file of results with something for every section."""
    path = tmp_path / "figures.json"
    results = Results(str(path), MACHINE, ASKED)
    for name in ("step", "cost", "scale", "load"):
        results.begin(name, keeps_rows=False)
    rows = [
        ("step", Row("1 tasks", "asyncio", Estimate(0.5678, 0.5, 0.6), "n", "x stock"), 1.0),
        ("step", Row("100 tasks", "asyncio", Estimate(1.234, 1.1, 1.3), "n", "x stock"), 1.0),
        ("cost", Row("switch", "asyncio", Estimate(12.34, 11, 13), "us", "steps"), None),
        ("scale", Row("growth of step, Gs", "asyncio", Estimate(0.073, 0.07, 0.08), "", "slope"), None),
        ("load", load_row("asyncio", 8, None, 987.0), None),
        ("load", load_row("asyncio", 8, None, 987.0, "echo"), None),
    ]
    for ms in (1, 5):
        rows += [("load", load_row(f"preemptio, asyncio, {ms} ms", hogs, ms, 3.21 * ms), None) for hogs in (1, 8)]
    for size in (10, 100):
        data = {"axis": "Gs", "cost": "step", "size": size}
        rows.append(("scale", Row(f"step, {size} Gs", "asyncio", Estimate(1.0, 0.9, 1.1), "", "us", data), None))
    for name, row, bound in rows:
        promise = Promise(row.name, "<=", bound, row.unit) if bound else None
        verdict = "" if bound is None else "ok" if row.value <= bound else "MISSED"
        results.add(command.record_of(name, row, promise, verdict))
    results.skip("load", "Go", "no toolchain | here")
    results.end("step", 60, (1.0, 3.0))
    return path


def page_of(file):
    return _markdown.page(
        list(_sections.sections(json.loads(file.read_text()))), "figures.json", "figures", "sha256 ab"
    )


def section(page, title):
    """Return the lines of a section, words of a paragraph in one."""
    return re.split(r"^## ", page, flags=re.MULTILINE)[
        1 + re.findall(r"^## (.*)$", page, re.MULTILINE).index(title)
    ].replace("\n", " ")


def test_page_has_the_figures(file):
    """With their intervals, verdicts and conditions."""
    text = page_of(file)
    assert "| 1 tasks | asyncio | 0.568 x stock | 0.5 to 0.6 | ≤ 1 | ok | n |" in section(text, "step")
    assert "| 100 tasks | asyncio | 1.23 x stock | 1.1 to 1.3 | ≤ 1 | MISSED | n |" in section(text, "step")
    promised = section(text, "What is promised")
    assert "1 of 2 promises were kept: the figure is within its bound. 1 were MISSED" in promised
    assert "| step: 100 tasks | asyncio | 1.23 x stock |" in promised
    assert "| step: 1 tasks | asyncio |" not in promised
    assert "| skipped: load, Go | no toolchain \\| here |" in text
    assert "more to do than its CPUs can" in " ".join(text.split())
    assert "| kernel HZ | 250 (/proc/config.gz) |" in text


def test_every_benchmark_has_a_section_that_says_how_it_was_measured(file):
    """Quick or full, when, of which code; what was not measured says what to type."""
    how = "2 rounds, 2026-01-02, commit 0123456789ab, with changes"
    results = Results(str(file), MACHINE, ASKED | {"quick": False, "date": "2026-03-04", "commit": None})
    results.begin("micro", keeps_rows=False)
    results.add(command.record_of("micro", Row("checkpoint()", "asyncio", 1.0), None, ""))
    results.end("micro", 60, (0.1, 0.2))
    text = page_of(file)
    for name in set(_sections.NAMES) - {"load"}:
        section(text, name)
    assert f"*Measured quick, {how}; load 1.0 before and 3.0 after, 60 s.*" in section(text, "step")
    assert "*Measured full, 2 rounds, 2026-03-04, commit unknown, with changes; load 0.1" in section(text, "micro")
    assert f"*Measured quick, {how}; not to its end.*" in section(text, "scale")
    assert f"*Measured quick, {how}; not to its end. Skipped: Go, no toolchain | here.*" in section(text, "load")
    assert "*Not measured: `python -m benchmarks --only burst --json FILE.json`.*" in section(text, "burst")
    promised = section(text, "What is promised")
    assert (
        "| [step](#step) | What does a step cost when nothing is preempted? | 1 of 2 | quick, 2026-01-02 |" in promised
    )
    assert "| [micro](#micro) | What do `checkpoint()` and `go()` cost? |  | full, 2026-03-04 |" in promised
    assert "| not measured |" in promised
    belong = section(text, "What the figures belong to")
    assert f"| quick, {how} | step, cost, scale, load |" in belong
    assert "| full, 2 rounds, 2026-03-04, commit unknown, with changes | micro |" in belong


def test_readme_of_the_benchmarks_has_the_same_questions():
    """One table for who reads, one for what runs."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", (report.ROOT / "benchmarks" / "README.md").read_text(), re.MULTILINE)
    assert dict(rows) == QUESTIONS
    assert list(dict(rows)) == list(_sections.NAMES)
    for name in _sections.NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        assert callable(module.run)
        assert isinstance(module.PROMISES, tuple)


def marked(name, inside="xyzzy"):
    begin, end = _tables.marks(name)
    return f"{begin}\n{inside}\n{end}"


def test_table_is_put_between_its_marks(file):
    """And nothing else is changed; a page without them is an error with what to type."""
    data = json.loads(file.read_text())
    put = lambda text: _tables.with_tables(text, "README.md", data, "docs/figures.json", "docs/figures.md")  # noqa: E731
    page = put(f"before\n{marked('cost')}\nafter")
    assert page.startswith("before\n")
    assert page.endswith("after")
    assert "| a step, one task ready | 0.568 (0.5 to 0.6) |" in page
    assert "Measured quick, 2 rounds, 2026-01-02, commit 0123456789ab, with changes" in " ".join(page.split())
    assert "`python -m benchmarks --only micro echo memory --json docs/figures.json`" in page
    assert "xyzzy" not in page
    assert put(page) == page
    for wrong in ("no marks", marked("cost") * 2, marked("scan")):
        with pytest.raises(ValueError, match="Put these two lines"):
            put(wrong)


def test_table_of_two_runs_says_which_is_whose(file):
    """A page's reader need not look up what was measured quick, and what in full."""
    results = Results(str(file), MACHINE, ASKED | {"quick": False, "dirty": False})
    results.begin("micro", keeps_rows=False)
    results.add(command.record_of("micro", Row("go() and await", "asyncio", Estimate(1.5, 1.4, 1.6)), None, ""))
    results.end("micro", 60, (0.1, 4.5))
    made = " ".join(_tables.table("cost", results.data, "figures.json", "figures.md").split())
    assert "| starting and awaiting an empty task | 1.5 (1.4 to 1.6) |" in made
    how = "2 rounds, 2026-01-02, commit 0123456789ab"
    assert (
        f"Measured step quick, {how}, with changes; micro full, {how}; CPython 3.13.0, 2 CPUs, load up to 4.5." in made
    )
    assert "[All figures](figures.md#what-is-promised)" in made
    assert "--only echo memory --json" in made


ROWS = {
    "service": (
        ("/health p99, preempted", "asyncio", 4.5, "ms", "| preempted | 4.5 ms | 0 | 12 /s |"),
        ("failed requests, preempted", "asyncio", 0.0, "", "`/health` p99, asyncio | failed, asyncio |"),
        ("computations, preempted", "asyncio", 12.0, "/s", "| stock | | | |"),
        (
            "/health without load",
            "asyncio",
            Estimate(0.97, 0.9, 1.1),
            "x",
            "answers 0.97 (0.9 to 1.1) times the requests",
        ),
    ),
    "actor": (
        ("calls a second, 1 under way", "preempted", Estimate(0.9, 0.8, 1.0), "x", "| 1 | 0.9 x (0.8 to 1) |"),
        ("calls a second, 50 under way", "preempted", Estimate(0.8, 0.7, 1.0), "x", "| 1 | 0.8 x (0.7 to 1) |"),
        ("health beside 8 x 0.5 s, p50", "Ray's", 2228.0, "ms", "median | 2,228 ms | 1.8 ms |"),
        ("health beside 8 x 0.5 s, p50", "preempted", 1.8, "ms", "the slowest | | 16.5 ms |"),
        ("health beside 8 x 0.5 s, worst", "preempted", 16.5, "ms", "[All figures](figures.md#actor)"),
    ),
    "scan": (
        ("leaks: lateness p99", "asyncio", 1.5, "slices", "| `leaks`: a timer beside it is late, 99 % | 1.5 ms |"),
        ("leaks: pause, 1000 Gs", "asyncio", 2.5, "ms", "| `leaks`: pause, 1,000 Gs | 2.5 ms |"),
        ("retained: objects", "asyncio", 0.25, "m/s", "| `retained`: objects a second | 0.25 million |"),
        ("objgraph.typestats(): objects", "asyncio", 5.0, "m/s", "closest: `objgraph.typestats()` 5."),
    ),
    "monitor": (
        ("gs, p95", "asyncio", 35.0, "ms", "| `gs` | 35 ms |"),
        ("gs, first 20 by CPU, p95", "asyncio", 12.0, "ms", "| `gs --sort cpu -n 20` | 12 ms |"),
        ("page, between updates, p95", "asyncio", 1050.0, "ms", "from one update to the next | 1,050 ms |"),
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_tables_of_other_pages(file, name):
    """Each has its figures once its benchmark was run, and the command that makes them before."""
    make = lambda: _tables.table(name, json.loads(file.read_text()), "docs/figures.json", "figures.md")  # noqa: E731
    assert f"Not measured yet: `python -m benchmarks --only {name} --json docs/figures.json`" in make()
    results = Results(str(file), MACHINE, ASKED)
    results.begin(name, keeps_rows=False)
    for row, loop, value, unit, _ in ROWS[name]:
        results.add(command.record_of(name, Row(row, loop, value, "n", unit), None, ""))
    results.end(name, 60, (0.1, 0.2))
    made = " ".join(make().split())
    assert "Not measured" not in made
    for *_, said in ROWS[name]:
        assert said in made


def test_pages_name_only_tables_that_there_are():
    """And each table stands in one page."""
    names = [name for page in _tables.PAGES.values() for name in page]
    assert sorted(names) == sorted(_tables.TABLES)


def test_everything_is_written_and_stale_pages_are_found(file, capsys):
    """The page stands alone, and both it and the plots are readable on dark paper."""
    pytest.importorskip("matplotlib")
    assert report.main([str(file), "--check"]) == 1
    assert report.main([str(file)]) == 0
    assert report.main([str(file), "--check"]) == 0
    page = file.with_suffix(".html").read_text()
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!#)(?!http://www\.w3\.org)", page)
    assert "a &lt;processor&gt; &amp; more" in page
    plots = sorted(path.name for path in file.with_suffix("").iterdir())
    assert plots == ["echo.svg", "heat.svg", "promises.svg", "scale.svg", "sleep.svg"]
    for path in file.with_suffix("").iterdir():
        svg = path.read_text()
        assert "prefers-color-scheme:dark" in svg
        assert not [colour for colour in _theme.LIGHT.values() if colour in svg.partition("</style>")[2]]
    capsys.readouterr()
    file.write_text(file.read_text().replace("0.5678", "0.4321"))
    assert report.main([str(file), "--check"]) == 1
    said = capsys.readouterr().out
    for name in ("figures.md", "figures.html", "figures/heat.svg"):
        assert f"{name} is stale. Type: python -m benchmarks.report {file}" in said


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.01234, "0.0123"),
        (1.2345, "1.23"),
        (99.96, "100"),
        (123.4, "123"),
        (98765.0, "98,765"),
        (1e-7, "0.0000"),
    ],
)
def test_figures_have_as_many_digits_as_mean_something(value, text):
    """Three."""
    assert _sections.number(value) == text
