"""info: the facts are this process's, not a page of the manual."""

import json
import os
import platform
import signal
import sys

import pytest

import preemptio
from preemptio._config import KNOBS
from preemptio._core._reasons import Verdict


def facts(result):
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_text(cli):
    """The text has every section, fits 100 columns and has no control characters."""
    result = cli("info")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    for head in ("versions", "platform", "settings", "what works here"):
        assert head in lines
    assert all(line.isprintable() and len(line) <= 100 for line in lines if "executable" not in line)


def test_without_optional_packages(cli, hidden):
    """It works without rich and uvloop, and says what to type for uvloop."""
    result = cli("info", first=hidden("rich", "uvloop"))
    assert result.returncode == 0
    assert "preemptio[uvloop]" in result.stdout


def test_versions(cli):
    """Versions are those of this interpreter and environment."""
    versions = facts(cli("info", "--json"))["versions"]
    assert versions["python"].split()[0] == platform.python_version()
    assert versions["preemptio"] == preemptio.__version__
    assert set(versions) == {"python", "preemptio", "greenlet", "uvloop", "structlog", "rich", "aiomonitor"}


def test_settings_and_where_they_come_from(cli):
    """Every knob is listed, with its value as one would type it and whether the environment gave it."""
    rows = facts(cli("info", "--json", PREEMPTIO_SLICE="2000us", PREEMPTIO_GRACE=" "))["knobs"]
    assert [row["variable"] for row in rows] == [knob.env for knob in KNOBS]
    by_name = {row["variable"]: (row["value"], row["from"]) for row in rows}
    assert by_name["PREEMPTIO_SLICE"] == ("2ms", "environment")
    assert by_name["PREEMPTIO_GRACE"] == ("2s", "default")


def test_misspelt_variable(cli):
    """A variable that only looks like a setting is pointed out, with the one that was probably meant."""
    assert "PREEMPTIO_SLCE is not a setting. Did you mean PREEMPTIO_SLICE?" in cli("info", PREEMPTIO_SLCE="1ms").stdout


@pytest.mark.parametrize("source", ["itimer", "posix", "monitor", "none"])
def test_source_by_choice(cli, source):
    """The source a loop would take follows the knob."""
    if source == "posix" and sys.platform != "linux":
        pytest.skip("timer_create is used on Linux only")
    if source == "monitor" and not hasattr(sys, "monitoring"):
        pytest.skip("sys.monitoring is new in CPython 3.12")
    found = facts(cli("info", "--json", PREEMPTIO_SOURCE=source))
    assert found["source_now"] == source
    signals = {row["what"]: row for row in found["support"]}["preemption by signal"]
    assert signals["state"] == ("no" if source == "none" else "yes")


@pytest.mark.skipif(sys.platform != "linux", reason="posix timers are used on Linux only")
def test_sources_are_tried_not_described(cli):
    """A timer that this process inherited through exec takes itimer away, and info has noticed."""
    code = (
        "import os, signal, sys; signal.setitimer(signal.ITIMER_REAL, 1000);"
        "os.execv(sys.executable, [sys.executable, '-m', 'preemptio', 'info', '--json'])"
    )
    found = facts(cli(python=["-c", code]))
    works = {"itimer": False, "posix": True, "monitor": hasattr(sys, "monitoring"), "none": True}
    assert {row["name"]: row["works"] for row in found["sources"]} == works
    assert found["source_now"] == "posix"


def test_loops_in_other_threads(cli):
    """What a loop would have there: the monitor, or checkpoints only, with the reason."""

    def row(**environ):
        rows = facts(cli("info", "--json", **environ))["support"]
        return next((row["state"], row["why"]) for row in rows if row["what"] == "loops in other threads")

    monitored = ("yes", "the tick is monitor: blocking calls block the loop")
    old = ("partly", "checkpoints only: the monitor takes CPython 3.12 or newer")
    assert row() == (monitored if hasattr(sys, "monitoring") else old)
    assert row(PREEMPTIO_SOURCE="itimer") == ("partly", "checkpoints only: PREEMPTIO_SOURCE=itimer")


def test_preemption_switched_off(cli):
    """asyncpreemptoff is reported where the reader looks for preemption."""
    rows = facts(cli("info", "--json", PREEMPTIO_DEBUG="asyncpreemptoff=1"))["support"]
    row = next(row for row in rows if row["what"] == "preemption by signal")
    assert (row["state"], "asyncpreemptoff=1" in row["why"]) == ("no", True)


def test_signals_are_given_back():
    """Trying the sources leaves handlers and timer as they were."""
    from preemptio._cli._info import facts as gather

    before = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL), os.environ.copy()
    gather()
    assert (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL), os.environ.copy()) == before


def test_verdicts_as_text(cli):
    """Every verdict with its meaning and what to do about it; it fits 100 columns and has no control characters."""
    result = cli("info", "--verdicts")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert all(line.isprintable() and len(line) <= 100 for line in lines)
    words = " ".join(result.stdout.split())
    for verdict in Verdict:
        advice = f" -> {verdict.advice}" if verdict.advice else ""
        assert f" {verdict} {verdict.doc}{advice}" in words


def test_verdicts_as_json(cli):
    """The table of the source, and nothing else."""
    rows = facts(cli("info", "--verdicts", "--json"))
    assert rows == [{"verdict": str(v), "meaning": v.doc, "advice": v.advice} for v in Verdict]


def test_verdicts_are_printed_on_request_only(cli):
    """A bug report does not need them."""
    assert Verdict.STDLIB.doc not in cli("info").stdout
