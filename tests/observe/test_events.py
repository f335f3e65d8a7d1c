"""Events: what is said is in the table, in the context of its task, by the application's logging, and not too often."""

import ast
import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from structlog.testing import capture_logs

import preemptio
from preemptio import _events, _log, scan
from preemptio._aio._starvation import Starvation
from preemptio._events import EVENTS
from preemptio._log import Repeats
from preemptio._tools import gen_events
from preemptio.lowlevel import current_g
from tests.behaviour._support import Flag, parked, spin, turns


@pytest.fixture
def said():
    """What the application's own processors see: structlog configured, as a program does it."""
    entries = []

    def keep(_logger, _method, entry):
        entries.append(dict(entry))
        raise structlog.DropEvent

    merge = structlog.contextvars.merge_contextvars
    structlog.configure(processors=[merge, structlog.processors.add_log_level, keep])
    yield entries
    structlog.reset_defaults()


def of(entries, event):
    """Return the entries of one event."""
    return [entry for entry in entries if entry["event"] == event]


def slow(entries, text):
    """Return the slow steps that are about this: a loaded machine makes more of them than the test does."""
    return [entry for entry in of(entries, "slow step") if text in entry["where"] + entry["why"]]


def compute(seconds):
    """Compute for so long, without a call that another task could be let in at."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


async def hold(seconds):
    """Keep the CPU, while another task waits for it."""
    other = asyncio.create_task(asyncio.sleep(0))
    with preemptio.nopreempt("held on purpose"):
        compute(seconds)
    await other


# The table.


def test_the_page_is_what_the_table_says():
    """docs/events.md is generated."""
    assert gen_events.PAGE.read_text("utf-8") == gen_events.render()


def test_all_that_is_said_is_in_the_table_and_the_other_way_round():
    """One function speaks; each row is spoken by somebody."""
    tree = ast.parse(Path(_log.__file__).read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    spoken = {call.args[0].attr for call in calls if getattr(call.func, "id", "") == "_say"}
    assert {getattr(_events, name).name for name in spoken} == set(EVENTS)
    assert sum(getattr(call.func, "id", "") == "logger" for call in calls) == 1  # in _say


def test_a_field_that_is_not_in_the_table_is_an_error(said):
    """And one that is missing."""
    with pytest.raises(AssertionError, match=r"'tick source unavailable': unknown \['whatever'\], missing \['why'\]"):
        _log._say(_events.SOURCE, wanted="a", used="b", whatever="c")
    assert said == []


def test_no_field_has_a_name_that_logging_keeps_for_itself():
    """structlog.stdlib.render_to_log_kwargs makes each an attribute of the record, where logging refuses its own."""
    taken = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "event", "level", "logger", "timestamp"}
    taken -= {"exc_info"}  # what it is for
    for event in EVENTS.values():
        assert not taken & set(event.all_fields()), event.name


def test_what_stays_noisy_is_said_ever_more_rarely():
    """The first time, the tenth, the hundredth; each place by itself."""
    repeats = Repeats()
    assert [n for n in (repeats.count("here") for _ in range(1_000)) if n] == [1, 10, 100, 1_000]
    assert repeats.count("there") == 1


# Slow steps.


@pytest.mark.uninjected("a step that is not interrupted")
def test_a_slow_step(make_loop, said):
    """Is told of with who, where, how long, and what refused it, when another task had to wait."""

    async def main():
        await hold(0.05)
        while not slow(said, "held on purpose"):
            await asyncio.sleep(0)
        return current_g().id

    g = preemptio.run(main(), loop_factory=lambda: make_loop(slow=0.01))
    entry = slow(said, "held on purpose")[0]
    assert (entry["g"], entry["verdict"], entry["times"], entry["level"]) == (g, "masked", 1, "warning")
    assert re.fullmatch(r".*test_events\.py:\d+ in compute", entry["where"])
    assert "held on purpose" in entry["why"]
    assert entry["seconds"] == entry["worst"] >= 0.03


@pytest.mark.uninjected("a step that is not interrupted")
def test_a_slow_call_of_c_code(make_loop, said):
    """No tick can look before it is over; the one that comes then tells."""

    async def main():
        other = asyncio.create_task(asyncio.sleep(0))
        sum(range(5_000_000))
        await other
        while not slow(said, "c_code.<locals>.main"):
            await asyncio.sleep(0)

    preemptio.run(main(), loop_factory=lambda: make_loop(slow=0.005))
    entry = slow(said, "c_code.<locals>.main")[0]
    assert entry["verdict"] in ("none", "opcode")  # a tick may have come just before the call
    assert "preemptio.blocking" in entry["advice"]


@pytest.mark.uninjected("what the tick alone finds")
def test_a_slow_callback(make_loop, base, said):
    """Is no task's."""
    if base is not asyncio.SelectorEventLoop:
        pytest.skip("the tick does not run in callbacks of uvloop")

    async def main():
        asyncio.get_running_loop().call_soon(compute, 0.05)
        other = asyncio.create_task(asyncio.sleep(0))
        await other
        while not slow(said, "callback"):
            await asyncio.sleep(0)

    preemptio.run(main(), loop_factory=lambda: make_loop(slow=0.01))
    assert "g" not in slow(said, "callback")[0]


@pytest.mark.uninjected("a step that is not interrupted")
def test_a_slow_step_in_library_code_names_the_line_that_leads_there(make_loop, said):
    """`where` is the library's, `called_at` the program's."""
    text = json.dumps([0] * 50_000)
    decoder = json.JSONDecoder(object_hook=dict)
    decoder.parse_string = json.decoder.py_scanstring
    decoder.scan_once = json.scanner.py_make_scanner(decoder)  # in Python, so that ticks find it there

    async def main():
        while not any("json" in entry["where"] for entry in of(said, "slow step")):
            other = asyncio.create_task(asyncio.sleep(0))
            with preemptio.nopreempt("as it would be in asyncio"):
                decoder.decode(text)
            await other
            await turns(3)

    preemptio.run(main(), loop_factory=lambda: make_loop(slow=0.002))
    (entry,) = (entry for entry in of(said, "slow step") if "json" in entry["where"])
    assert re.fullmatch(r".*test_events\.py:\d+ in .*main", entry["called_at"])


@pytest.mark.uninjected("how late others are")
def test_nobody_is_late_where_nothing_waits(make_loop, base, said):
    """A task that has the loop to itself may compute; and 0 watches nothing."""

    async def alone():
        loop = asyncio.get_running_loop()
        if loop.get_debug() and base is not asyncio.SelectorEventLoop:
            return  # what waits on uvloop cannot be seen in debug mode, so it is taken to be something
        while not loop.quiet():  # the loop may have something of its own to do
            await asyncio.sleep(0)
        with preemptio.nopreempt("alone"):
            compute(0.03)
        await turns(5)

    async def main():
        await hold(0.03)
        await turns(5)

    preemptio.run(alone(), loop_factory=lambda: make_loop(slow=0.01))
    assert slow(said, "alone") == []
    preemptio.run(main(), loop_factory=lambda: make_loop(slow=0.0))
    assert slow(said, "held on purpose") == []


@pytest.mark.uninjected("a step that is not interrupted")
def test_a_place_that_stays_slow_is_counted(make_loop, said):
    """Ten times make two events, and the second has the worst of them."""

    async def main():
        while not any(entry["times"] == 10 for entry in of(said, "slow step")):
            await hold(0.02)
            await turns(3)

    preemptio.run(main(), loop_factory=lambda: make_loop(slow=0.005))
    tenth = next(entry for entry in of(said, "slow step") if entry["times"] == 10)  # others may have come after it

    def key(entry):
        return entry["verdict"], entry["where"].partition(":")[0]

    same = [entry for entry in of(said, "slow step") if key(entry) == key(tenth)]
    assert [entry["times"] for entry in same] == [1, 10]
    assert tenth["worst"] >= max(entry["seconds"] for entry in same)


# Whose context.


@pytest.mark.asyncio
@pytest.mark.uninjected("where the task stands")
async def test_an_event_has_the_context_of_its_task(said):
    """Also of one that stands in the middle of a step, which has entered its context; and no other task's."""
    structlog.contextvars.bind_contextvars(request="main")

    async def work(flag):
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request="work")
        spin(flag)

    with Flag() as flag:
        task = asyncio.create_task(work(flag))
        await parked(task)
        _log.report_starving(task.g, 1.0, 1, 0)
        _log.report_source("a", "b", "about no task")
    await task
    assert [
        entry.get("request") for entry in said if entry["event"] in ("starving task", "tick source unavailable")
    ] == [
        "work",
        None,
    ]


@pytest.mark.asyncio
async def test_what_logging_binds_does_not_stay_in_the_task(said):
    """It runs in a copy."""

    def bind(_logger, _method, entry):
        structlog.contextvars.bind_contextvars(left="behind")
        return entry

    structlog.configure(processors=[bind, *structlog.get_config()["processors"]])
    _log.report_stopped(current_g(), "test")
    assert of(said, "task stopped at a safe point")
    assert "left" not in structlog.contextvars.get_contextvars()


# Starvation.


@pytest.mark.uninjected("who runs when")
def test_a_task_that_is_never_let_to_run(make_loop, said):
    """One of the background class, on a loop that is never quiet."""

    async def main():
        with Flag() as flag:
            task = preemptio.go(spin, flag, background=True, name="patient")
            while not of(said, "starving task"):
                await asyncio.sleep(0)
        await task
        return task.g.id

    g = preemptio.run(main(), loop_factory=lambda: make_loop(starvation=0.02))
    entry = of(said, "starving task")[0]
    assert (entry["g"], entry["task"], entry["background"], entry["parked"]) == (g, "patient", True, 1)
    assert entry["seconds"] == 0.02
    assert "background=True" in entry["advice"]


def test_who_runs_between_two_looks_does_not_starve(said):
    """And no look is left behind when nobody is parked."""
    timers = []
    heap = []
    p = SimpleNamespace(
        parked=SimpleNamespace(heap=heap),
        host=SimpleNamespace(call_after=lambda _seconds, look: timers.append(look)),
    )
    row = {"name": "", "slices": 0, "task": None, "nice": 0, "background": False, "created_at": "here"}
    runs, waits = (type("G", (), {**row, "id": n})() for n in (1, 2))
    heap += [(False, 0.0, g.id, (g,)) for g in (runs, waits)]
    watch = Starvation(p, 1.0)
    watch.parked(runs)
    watch.parked(waits)
    for _ in range(12):
        (look,) = timers
        timers.clear()
        runs.slices += 1
        look()
    assert {entry["g"] for entry in of(said, "starving task")} == {2}
    assert [entry["seconds"] for entry in of(said, "starving task")] == [1.0, 10.0]
    heap.clear()
    timers.pop()()
    assert timers == []
    many = [type("G", (), {**row, "id": n})() for n in range(3, 1003)]
    heap += [(False, 0.0, g.id, (g,)) for g in many]
    watch.parked(many[0])
    timers.pop()()
    timers.pop()()
    assert [(entry["g"], entry["others"]) for entry in of(said, "starving task")[2:]] == [(3, 0), (4, 998)]
    heap.clear()
    timers.pop()()
    watch.parked(runs)
    assert len(timers) == 1


# The others.


def test_a_leak_is_told_of_once(said):
    """However often it is looked for."""

    async def main():
        task = asyncio.create_task(asyncio.Queue().get(), name="orphan")
        await asyncio.sleep(0)
        for _ in range(2):
            assert [leak.name for leak in await scan.leaks(background=False)] == ["orphan"]
        await turns(3)
        task.cancel()
        return task.g.id

    g = preemptio.run(main())
    (entry,) = of(said, "leaked task")
    assert (entry["g"], entry["wait_reason"]) == (g, "queue get")
    assert "test_events.py" in entry["created_at"]
    assert "queues.py" in entry["stack"]


@pytest.mark.uninjected("who refuses")
@pytest.mark.asyncio
async def test_a_suspension_that_comes_too_late(said, monkeypatch):
    """Is told of, with what refused it last."""
    monkeypatch.setattr(_log, "_too_late", Repeats())
    begun, told = threading.Event(), threading.Event()

    def ask(g):
        begun.wait()  # before, it would be held at once
        try:
            preemptio.suspend_g_threadsafe(g, 0.05)
        except TimeoutError:
            return "too late"
        finally:
            told.set()

    async def stubborn():
        with preemptio.nopreempt("stubborn"):
            begun.set()
            while not told.is_set():
                pass

    task = asyncio.create_task(stubborn())
    asked = asyncio.get_running_loop().run_in_executor(None, ask, task.g)
    await task
    assert await asked == "too late"
    (entry,) = of(said, "task could not be suspended")
    assert (entry["g"], entry["seconds"]) == (task.g.id, 0.05)
    assert entry["verdict"] in ("masked", "none")


# Where they go.


def test_the_standard_librarys_logging(make_loop):
    """structlog.stdlib.recreate_defaults(log_level=None) is enough: the logger is `preemptio`, and levels are its."""
    records = []

    class Keep(logging.Handler):
        def emit(self, record):
            records.append(record)

    handler = Keep()
    logger = logging.getLogger("preemptio")
    logger.addHandler(handler)
    try:
        structlog.stdlib.recreate_defaults(log_level=None)
        structlog.configure(
            processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
        _log.report_source("posix", "itimer", "because")
        logger.setLevel(logging.ERROR)
        _log.report_source("posix", "itimer", "because")
    finally:
        structlog.reset_defaults()
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    (record,) = records
    assert (record.name, record.levelname, record.wanted) == ("preemptio", "WARNING", "posix")


def test_capture_logs():
    """As in any test of an application."""
    with capture_logs() as logs:
        _log.report_source("posix", "itimer", "because")
    assert logs == [
        {
            "event": "tick source unavailable",
            "log_level": "warning",
            "logger": "preemptio",
            "wanted": "posix",
            "used": "itimer",
            "why": "because",
        }
    ]


PROGRAM = """
import asyncio, time, preemptio

async def hold():
    other = asyncio.create_task(asyncio.sleep(0))
    with preemptio.nopreempt("held on purpose"):
        until = time.monotonic() + 0.4
        while time.monotonic() < until:
            pass
    await other

async def main():
    await asyncio.create_task(hold(), name="holder")
    await asyncio.sleep(0.05)

preemptio.run(main())
"""


def run(**settings):
    """Return what the program writes to standard error; to standard output, which is its own, goes nothing."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PREEMPTIO_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr


def test_a_program_that_configures_nothing():
    """Reads what happened in one line, and below it where, why and what to do."""
    said = run(PREEMPTIO_SLOW="200ms", PREEMPTIO_SLICE="1ms")  # so long another process does not keep the CPU
    head, *below = said.splitlines()
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d \[warning\] preemptio: slow step  g=\d+ task='holder' seconds=0\.\d+ verdict='masked'", head
    )
    assert [line.partition(": ")[0] for line in below] == ["    where", "    why", "    advice"]


def test_schedtrace_is_gos_lines():
    """Without structlog's decoration: SCHED, and with scheddetail P, M and G."""
    lines = run(PREEMPTIO_SLOW="0", PREEMPTIO_DEBUG="schedtrace=20,scheddetail=1").splitlines()
    assert {re.match(r"SCHED \d+ms: |  [PMG]\d+: ", line) is not None for line in lines} == {True}
    assert {line.split()[0][0] for line in lines} == set("SPMG")
    assert re.search(r"^  G\d+: status=4\(sleep\) m=nil name=Task-\d+ ", "\n".join(lines), re.MULTILINE)


def test_schedtrace_is_an_event(make_loop, said):
    """Where the application logs."""

    async def main():
        while not of(said, "schedtrace"):
            await asyncio.sleep(0.001)

    with preemptio.config.override(debug="schedtrace=1"):
        preemptio.run(main(), loop_factory=make_loop)
    assert of(said, "schedtrace")[0]["text"].startswith("SCHED ")
