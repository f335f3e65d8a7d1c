"""pdb and debugpy: while a debugger traces nothing is preempted, and when it is gone everything is as before."""

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from preemptio._preempt._seek import Seeker
from tests.neighbours._dap import Client
from tests.neighbours._tools import PROGRAMS, environ, python

pytestmark = pytest.mark.slow

STEPPED = PROGRAMS / "stepped.py"
LOOPS = ["asyncio", "uvloop"]


def line_of(text):
    (found,) = (n for n, line in enumerate(STEPPED.read_text().splitlines(), 1) if text in line)
    return found


WALK = line_of("# here")
BURN = line_of("def burn")

STEPS = {
    "next": (WALK + 1, "walk"),  # over a call that takes many slices
    "step": (BURN, "burn"),
    "step ": (BURN + 1, "burn"),
    "return": (BURN + 4, "burn"),
    "next ": (WALK + 2, "walk"),
    "next  ": (WALK + 3, "walk"),
}
"""What is typed at pdb's prompt, where it must lead, and in which function."""


@pytest.mark.parametrize("loop", LOOPS)
def test_pdb(loop, tmp_path):
    """Steps stay in the task although they take many slices; no hog runs meanwhile; then hogs are preempted again."""
    typed = ["next"] if sys.version_info >= (3, 13) else []  # from 3.13 on it stops at breakpoint() itself
    typed.append("p 'ROUNDS', flag.rounds")
    for step in STEPS:
        typed += [step, "p 'ROUNDS', flag.rounds"]
    said = python(STEPPED, loop, "pdb", cwd=tmp_path, stdin="\n".join([*typed, "continue", ""]))
    places = re.findall(r"> \S+stepped\.py\((\d+)\)(\w+)", said)
    assert [(int(line), name) for line, name in places[-len(STEPS) :]] == list(STEPS.values()), said
    rounds = re.findall(r"\('ROUNDS', (\d+)\)", said)
    assert len(rounds) == len(STEPS) + 1, said
    assert len(set(rounds)) == 1, said
    assert re.search(r"^(\(Pdb\) )?PREEMPTED after \[.*'tracer'", said, re.MULTILINE), said
    assert said.splitlines().count("OK") == 1, said


@pytest.mark.parametrize("loop", ["asyncio"])
def test_debugpy(loop, tmp_path):
    """It listens: hogs are preempted. A client comes, breaks and steps: nothing is. It goes: hogs are preempted."""
    pytest.importorskip("debugpy")
    command = [sys.executable, "-Xfrozen_modules=off", "-X", "faulthandler", STEPPED, loop, "debugpy"]
    with (
        (tmp_path / "stderr").open("w+") as errors,
        subprocess.Popen(
            command, cwd=tmp_path, env=environ(PYTHONUNBUFFERED="1"), stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            port = int(process.stdout.readline().removeprefix("PORT "))
            assert process.stdout.readline() == "PREEMPTED before\n"
            with Client(port) as client:
                rounds = debug(client)
            rest = process.stdout.read()
        finally:
            process.kill()
            errors.seek(0)
            print(errors.read())
    assert len(set(rounds)) == 1, rounds
    assert re.fullmatch(r"PREEMPTED after \[.*'tracer'.*\]\nOK\n", rest), rest
    assert process.returncode == 0


def debug(client):
    """Break in `walk`, step along, and go; return how far the hogs were at each stop."""
    client.ask("initialize", adapterID="test", pathFormat="path", linesStartAt1=True)
    attached = client.send("attach", justMyCode=False)
    client.event("initialized")
    source = {"path": str(STEPPED)}
    client.ask("setBreakpoints", source=source, breakpoints=[{"line": WALK}])
    client.ask("configurationDone")
    client.answer(attached)
    found, rounds, thread = [], [], 0
    for step in ["", "next", "stepIn", "stepOut", "next", "next"]:
        if step:
            client.ask(step, threadId=thread)
        thread = client.event("stopped")["threadId"]
        top = client.ask("stackTrace", threadId=thread, levels=1)["stackFrames"][0]
        found.append((top["line"], top["name"]))
        rounds.append(client.ask("evaluate", expression="flag.rounds", frameId=top["id"])["result"])
    assert [name for _, name in found] == ["walk", "walk", "burn", "walk", "walk", "walk"], found
    assert found[:2] == [(WALK, "walk"), (WALK + 1, "walk")]
    client.ask("continue", threadId=thread)
    client.ask("disconnect", terminateDebuggee=False)
    return rounds


@pytest.mark.skipif(sys.gettrace() is not None, reason="something traces this run")
def test_a_debugger_that_comes_upon_a_search_ends_it():
    """What it put on the frames stays, and when it is gone another search can begin."""
    p = SimpleNamespace(schedtick=1, carrier="a carrier", masked=lambda _g: True)  # no place will do
    seeker, g, frame = Seeker(p, None, None), SimpleNamespace(), sys._getframe()

    def theirs(*_):
        return None

    assert seeker.arm(g, frame)
    sys.settrace(theirs)
    frame.f_trace = theirs
    try:
        assert not seeker.armed
        assert sys.gettrace() is theirs
        assert frame.f_trace is theirs
    finally:
        sys.settrace(None)
        frame.f_trace = None
    assert seeker.arm(g, frame)
    seeker.disarm()
    assert (sys.gettrace(), frame.f_trace) == (None, None)
