"""The command: it goes on where it was, refuses figures that do not mix, compares, and gates."""

import dataclasses
import importlib.util
import json
import re
import sys
import types

import pytest

from benchmarks import __main__ as command, _machine, gate
from benchmarks._harness import Options, Promise, Row, Skipped
from benchmarks._names import NAMES
from benchmarks._results import ResultsError
from benchmarks._stats import Estimate
from benchmarks._worker import WorkerError

OPT = Options(quick=True, loops=("asyncio",), rounds=2)


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine that does not change, and is described at once."""
    about = {"system": "Linux", "cpu": "one", "cpus": 2, "python": "3.13.0", "versions": {"uvloop": "1"}}
    monkeypatch.setattr(_machine, "describe", lambda: about)
    return about


@pytest.fixture(autouse=True)
def code(monkeypatch):
    """Code that changes when a test says so."""
    state = {"code": "aa", "commit": "0123456789abcdef", "dirty": False}
    monkeypatch.setattr(_machine, "code_state", lambda: dict(state))
    return state


@pytest.fixture
def benchmark(monkeypatch):
    """Return a function that makes a benchmark of some rows; an exception among them is raised there."""

    def make(name, rows, promises=(), **attributes):
        module = types.ModuleType(f"benchmarks.{name}", f"What {name} costs.")
        module.PROMISES = promises
        module.asked = []

        def run(opt):
            module.asked.append(opt.have)
            for row in rows:
                if isinstance(row, BaseException):
                    raise row
                if not (isinstance(row, Row) and (row.name, row.loop) in opt.have):
                    yield row

        module.run = run
        for key, value in attributes.items():
            setattr(module, key, value)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return module

    return make


def row(name, value=1.0, low=0.9, high=1.1):
    return Row(name, "asyncio", Estimate(value, low, high), "note", "x stock")


def names_in(path):
    return [(record["benchmark"], record["name"]) for record in json.loads(path.read_text())["results"]]


def test_interrupted_run_goes_on(benchmark, tmp_path):
    """What was done is not measured again; what had begun is, from its beginning."""
    path = tmp_path / "out.json"
    first = benchmark("first", [row("a")])
    benchmark("second", [row("b"), KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        command.measure(["first", "second"], OPT, str(path))
    assert names_in(path) == [("first", "a"), ("second", "b")]
    second = benchmark("second", [row("b", 5.0), row("c")])
    results = command.measure(["first", "second"], OPT, str(path))
    assert names_in(path) == [("first", "a"), ("second", "b"), ("second", "c")]
    assert (len(first.asked), second.asked) == (1, [frozenset()])
    assert results.of(["second"])[0]["value"] == 5.0
    assert set(results.data["runs"]) == {"first", "second"}
    assert len(results.data["runs"]["first"]["load"]) == 2


def test_rows_that_stand_for_themselves_are_kept(benchmark, tmp_path):
    """A long benchmark goes on in its middle, and a promise whose row was kept is answered."""
    path = tmp_path / "out.json"
    promises = (Promise("a", "<=", 1.0, "x stock", ("asyncio",)),)
    benchmark("long", [row("a"), KeyboardInterrupt()], promises, KEEPS_ROWS=True)
    with pytest.raises(KeyboardInterrupt):
        command.measure(["long"], OPT, str(path))
    module = benchmark("long", [row("a", 7.0), row("b")], promises, KEEPS_ROWS=True)
    results = command.measure(["long"], OPT, str(path))
    assert module.asked == [frozenset({("a", "asyncio")})]
    assert [(r["name"], r["value"], r["verdict"]) for r in results.of(["long"])] == [("a", 1.0, "ok"), ("b", 1.0, "")]


@pytest.mark.parametrize(("key", "value"), [("python", "3.12.0"), ("cpu", "another"), ("versions", {"uvloop": "2"})])
def test_file_of_another_machine_is_refused(benchmark, tmp_path, machine, key, value):
    """With what differs, and what to type."""
    path = tmp_path / "out.json"
    benchmark("first", [row("a")])
    command.measure(["first"], OPT, str(path))
    before = path.read_bytes()
    machine[key] = value
    with pytest.raises(
        ResultsError, match=r"(python: 3.13.0|cpu: one|uvloop: 1) there, (3.12.0|another|2) now"
    ) as refused:
        command.measure(["first"], OPT, str(path))
    assert f"rm {path}" in str(refused.value)
    assert path.read_bytes() == before


def test_environment_with_one_package_more_goes_on(benchmark, tmp_path, machine):
    """As one benchmark may need what the others' environment does not have."""
    path = str(tmp_path / "out.json")
    benchmark("first", [row("a")])
    benchmark("second", [row("b")])
    command.measure(["first"], OPT, path)
    machine["versions"] = {"ray": "2"}
    data = command.measure(["second"], OPT, path).data
    assert data["machine"]["versions"] == {"uvloop": "1", "ray": "2"}
    assert [r["benchmark"] for r in data["results"]] == ["first", "second"]


def test_what_was_skipped_is_tried_again(benchmark, tmp_path):
    """By the same command, once it is installed; what was measured beside it is kept if it stands for itself."""
    path = str(tmp_path / "out.json")
    benchmark("long", [Skipped("Go", "not installed"), row("a")], KEEPS_ROWS=True)
    command.measure(["long"], OPT, path)
    module = benchmark("long", [row("a", 7.0), row("b")], KEEPS_ROWS=True)
    data = command.measure(["long"], OPT, path).data
    assert module.asked == [frozenset({("a", "asyncio")})]
    assert [(r["name"], r["value"]) for r in data["results"]] == [("a", 1.0), ("b", 1.0)]
    assert data["skipped"] == []
    command.measure(["long"], OPT, path)
    assert len(module.asked) == 1


@pytest.mark.parametrize(
    ("name", "package", "install"),
    [
        ("actor", "ray", "'preemptio[ray-test]'"),
        ("monitor", "aiomonitor", "'preemptio[monitor]'"),
        ("service", "fastapi", "'preemptio[bench]'"),
        ("service", "uvicorn", "'preemptio[bench]'"),
    ],
)
def test_what_lacks_a_package_is_skipped(monkeypatch, tmp_path, capsys, name, package, install):
    """With what to type; its promises are not said to have failed, and nothing of it is measured."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted: None if wanted == package else find_spec(wanted))
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    data = command.measure([name], OPT, str(tmp_path / "out.json")).data
    assert data["results"] == []
    (skipped,) = data["skipped"]
    assert skipped["why"].endswith(f"Type: pip install {install}")
    assert package in skipped["why"].lower()
    assert skipped["why"] in capsys.readouterr().out


FULL = dataclasses.replace(OPT, quick=False)


@pytest.mark.parametrize(
    ("before", "now", "value"),
    [
        (OPT, OPT, 1.0),
        (OPT, FULL, 5.0),
        (FULL, OPT, 1.0),
        (OPT, dataclasses.replace(OPT, rounds=3), 5.0),
        (OPT, dataclasses.replace(OPT, rounds=1), 1.0),
        (OPT, dataclasses.replace(OPT, loops=("asyncio", "uvloop")), 5.0),
        (dataclasses.replace(OPT, loops=("asyncio", "uvloop")), OPT, 1.0),
    ],
)
def test_longer_figures_replace_shorter_ones_and_stay(benchmark, tmp_path, before, now, value):
    """One benchmark at a time: each says how it was measured, and the rest of the file stays as it is."""
    path = tmp_path / "out.json"
    benchmark("first", [row("a")])
    benchmark("second", [row("b")])
    command.measure(["first", "second"], before, str(path))
    benchmark("second", [row("b", 5.0), row("c", 5.0)])
    data = command.measure(["second"], now, str(path)).data
    stands = now if value == 5.0 else before
    assert [r["value"] for r in data["results"]] == [1.0, value, value][: len(data["results"])]
    assert {name: (run["quick"], run["rounds"]) for name, run in data["runs"].items()} == {
        "first": (before.quick, before.rounds),
        "second": (stands.quick, stands.rounds),
    }
    assert json.loads(path.read_text()) == data


def test_figures_of_other_code_are_measured_anew(benchmark, tmp_path, code, capsys):
    """Of what is named; a commit that changes no code measures nothing."""
    path = str(tmp_path / "out.json")
    benchmark("first", [row("a")])
    module = benchmark("second", [row("b")])
    command.measure(["first", "second"], OPT, path)
    code["commit"] = "123456789abcdef0"
    command.measure(["second"], OPT, path)
    assert len(module.asked) == 1
    code["code"] = "bb"
    capsys.readouterr()
    data = command.measure(["second"], OPT, path).data
    assert len(module.asked) == 2
    assert re.search(
        r"measured anew; before: quick, 2 rounds, \d{4}-\d\d-\d\d, commit 0123456789ab\)", capsys.readouterr().out
    )
    assert [data["runs"][name]["commit"][0] for name in ("first", "second")] == ["0", "1"]


@pytest.mark.parametrize("what", ["options", "code"])
def test_rows_are_not_kept_beside_those_of_another_kind(benchmark, tmp_path, code, what):
    """A benchmark that was stopped in its middle begins anew, if it goes on at full length or with other code."""
    path = str(tmp_path / "out.json")
    benchmark("long", [row("a"), KeyboardInterrupt()], KEEPS_ROWS=True)
    with pytest.raises(KeyboardInterrupt):
        command.measure(["long"], OPT, path)
    code["code"] = "bb" if what == "code" else "aa"
    module = benchmark("long", [row("a", 7.0)], KEEPS_ROWS=True)
    results = command.measure(["long"], FULL if what == "options" else OPT, path)
    assert module.asked == [frozenset()]
    assert [r["value"] for r in results.of(["long"])] == [7.0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--compare", "missing.json"], "missing.json: No such file or directory. Measure first: python -m benchmarks"),
        (["--compare", "no.json"], "is not JSON"),
        (["--compare", "old.json"], "format 3"),
        (["--json", "nowhere/out.json"], "mkdir -p nowhere"),
        (["--loops", "twisted"], "'twisted' is not a base loop"),
        (["--rounds", "0"], "at least 1"),
        (["--only", "nothing"], "invalid choice"),
    ],
)
def test_bad_input_is_answered(tmp_path, monkeypatch, capsys, arguments, said):
    """With status 2 and what to type."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no.json").write_text("{")
    (tmp_path / "old.json").write_text('{"machine": {}}')
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_skipped_and_failed_are_recorded(benchmark, tmp_path):
    """A benchmark that died does not look like one that passed."""
    promises = (Promise("a", "<=", 1.0, "x stock", ("asyncio",)), Promise("b", "<=", 1.0, "x stock", ("asyncio",)))
    benchmark("first", [Skipped("go", "no toolchain"), row("a"), WorkerError("hung")], promises)
    data = command.measure(["first"], OPT, str(tmp_path / "out.json")).data
    assert data["skipped"] == [{"benchmark": "first", "what": "go", "why": "no toolchain"}]
    assert [(r["name"], r["verdict"]) for r in data["results"]] == [("a", "ok"), ("b", "FAILED")]


def test_compare_finds_what_changed(benchmark, tmp_path, capsys, monkeypatch):
    """Beyond both intervals and what processes differ by; a time, or a figure of few turns, only moved."""
    monkeypatch.setattr(command, "NAMES", ("first",))
    few = Row("e", "asyncio", Estimate(1.0, 0.9, 1.1, sure=0.75), "", "x stock")
    time = Row("f", "asyncio", Estimate(1.0, 0.9, 1.1), "", "ms p99")
    near = row("g", 1.0, 0.99, 1.0)
    benchmark("first", [row("a"), row("b"), Row("c", "asyncio", 1.0), few, time, near])
    command.measure(["first"], OPT, str(tmp_path / "old.json"))
    benchmark(
        "first",
        [row("a", 1.3, 1.2, 1.4), row("b", 1.1, 1.05, 1.2), Row("c", "asyncio", 9.0), row("d")]
        + [dataclasses.replace(each, value=Estimate(2.0, 1.9, 2.1)) for each in (few, time)]
        + [row("g", 1.02, 1.01, 1.03)],
    )
    monkeypatch.setattr(command, "options_of", lambda *_: OPT)
    old, new = str(tmp_path / "old.json"), str(tmp_path / "new.json")
    assert command.main(["--json", new, "--compare", old]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  changed first, a, asyncio: 1 [0.9, 1.1] -> 1.3 [1.2, 1.4] x stock +30.0%" in lines
    assert "  same    first, b, asyncio: 1 [0.9, 1.1] -> 1.1 [1.05, 1.2] x stock +10.0%" in lines
    assert [line.split()[:3] for line in lines if line.startswith("  moved")] == [
        ["moved", "first,", "e,"],
        ["moved", "first,", "f,"],
    ]
    assert "  same    first, g, asyncio: 1 [0.99, 1] -> 1.02 [1.01, 1.03] x stock +2.0%" in lines
    assert "of 6 figures 1 changed beyond noise; 2 moved, which noise may explain; 1 have no interval" in lines
    assert "1 figures are in one of the files only" in lines
    assert not any("note: first" in line for line in lines)
    monkeypatch.setattr(command, "options_of", lambda *_: FULL)
    assert command.main(["--json", new, "--compare", old]) == 0
    said = r"note: first was quick, 2 rounds, .*, and is full, 2 rounds"
    assert re.search(said, capsys.readouterr().out)


BOUND = (Promise("a", "<=", 1.0, "x stock", ("asyncio",)),)


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        (row("a", 1.0, 0.9, 1.1), 0, "1 promises, 0 broken, 0 too close to tell"),
        (row("a", 1.1, 0.9, 1.2), 0, "1 promises, 0 broken, 1 too close to tell"),
        (row("a", 1.2, 1.1, 1.3), 1, "MISSED: first, asyncio, a: 1.200 [1.100, 1.300] x stock <= 1"),
        (WorkerError("hung"), 1, "FAILED: first, asyncio, a"),
    ],
)
def test_gate(benchmark, tmp_path, capsys, monkeypatch, value, code, said):
    """It fails for a promise that was missed beyond its interval or not measured, and for no other."""
    monkeypatch.setattr(gate, "GATED", ("first",))
    monkeypatch.setattr(gate, "options_of", lambda *_: OPT)
    benchmark("first", [value], BOUND)
    path = str(tmp_path / "out.json")
    assert gate.main(["--json", path]) == code
    assert said in capsys.readouterr().out
    assert gate.main(["--from", path]) == code


def test_gate_fails_for_a_benchmark_that_was_not_run(benchmark, tmp_path, capsys, monkeypatch):
    """A file with half of the figures passes no gate."""
    monkeypatch.setattr(gate, "GATED", ("first", "second"))
    benchmark("first", [row("a", 0.9)], BOUND)
    command.measure(["first"], OPT, str(tmp_path / "out.json"))
    assert gate.main(["--from", str(tmp_path / "out.json")]) == 1
    assert "FAILED: second, which was not run to its end" in capsys.readouterr().out


def test_every_gated_benchmark_promises_something():
    """And is one of those that are run."""
    for name in gate.GATED:
        assert name in NAMES
        module = __import__(f"benchmarks.{name}", fromlist=["PROMISES"])
        assert module.PROMISES or name == "instructions"  # it has them on the newest Python only
