"""The report is what the file gives: every figure from there, nothing loaded from elsewhere, stale pages found."""

import json
import re

import pytest

from benchmarks import __main__ as command
from benchmarks._harness import Promise, Row
from benchmarks._results import Results
from benchmarks._stats import Estimate
from benchmarks.load import _samples
from benchmarks.report import __main__ as report, _markdown, _sections, _theme

MACHINE = {
    "system": "Linux 6",
    "cpu": "a <processor> & more",
    "cpus": 2,
    "memory_gb": 8.0,
    "hz": {"hz": 250, "from": "/proc/config.gz"},
    "python": "3.13.0",
    "versions": {"uvloop": "0.23.0"},
    "code": "aa",
    "git": {"commit": "0123456789abcdef", "dirty": True},
}


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
    results = Results(str(path), MACHINE, {"quick": True, "loops": ["asyncio"], "rounds": 2})
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


def test_page_has_the_figures(file):
    """With their intervals, verdicts and conditions."""
    text = _markdown.page(
        list(_sections.sections(json.loads(file.read_text()))), "figures.json", "figures", "sha256 ab"
    )
    assert "| step: 1 tasks | asyncio | 0.568 | 0.5 to 0.6 | ≤ 1 x stock | ok |" in text
    assert "| step: 100 tasks | asyncio | 1.23 | 1.1 to 1.3 | ≤ 1 x stock | MISSED |" in text
    assert "1 of 2 promises were kept" in text
    assert "| commit | 0123456789ab, with changes |" in text
    assert "| skipped: Go | no toolchain \\| here |" in text
    assert "more to do than its CPUs can" in " ".join(text.split())
    assert "| kernel HZ | 250 (/proc/config.gz) |" in text


def test_readme_table_is_put_between_its_marks(file):
    """And nothing else is changed; a README without them is an error with what to type."""
    data = json.loads(file.read_text())
    page = _markdown.with_table(f"before\n{_markdown.BEGIN}\nxyzzy\n{_markdown.END}\nafter", data)
    assert page.startswith("before\n")
    assert page.endswith("after")
    assert "| a step, one task ready | 0.568 (0.5 to 0.6) |" in page
    assert "xyzzy" not in page
    assert _markdown.with_table(page, data) == page
    with pytest.raises(ValueError, match="Put these two lines"):
        _markdown.with_table("no marks", data)


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
