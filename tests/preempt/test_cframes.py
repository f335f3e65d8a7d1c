"""The C rule: callbacks that may be preempted, which are most, and those that may not."""

import asyncio
import contextlib
import ctypes
import functools
import io
import json
import operator
import re
import signal
import sqlite3
import sys
import weakref

import pytest

import preemptio
from preemptio._core._reasons import Verdict
from preemptio._preempt import _cframes, _iframe
from preemptio.lowlevel import current_g

pytestmark = [
    pytest.mark.loop,
    pytest.mark.skipif(not _iframe.AVAILABLE, reason="frames of this interpreter cannot be read"),
]


def verdict():
    """Ask the rules about the function that called."""
    rules = asyncio.get_running_loop()._rules
    return rules.verdict(current_g(), sys._getframe(1), certain=True)


def in_a_task(call):
    """Return what the callbacks of a call were told, each of which asks."""
    said = []

    def ask(*_arguments):
        said.append(verdict())
        return 1

    async def main():
        await asyncio.sleep(0.001)  # past the turn in which the tick is armed
        call(ask)

    preemptio.run(main())
    return set(said)


def each(ask):
    for n in range(3):
        ask()
        yield str(n)


class Operators:
    """A class whose operators ask."""

    def __init__(self, ask):
        self.ask = ask

    def __eq__(self, other):
        return bool(self.ask())

    def __hash__(self):
        return self.ask()

    def __lt__(self, other):
        return bool(self.ask())

    def __add__(self, other):
        return self.ask()

    def __getattr__(self, name):
        return self.ask()

    def __getitem__(self, index):
        return self.ask()

    def __len__(self):
        return self.ask()

    def __iter__(self):
        return each(self.ask)

    def __bool__(self):
        return bool(self.ask())

    def __call__(self):
        return self.ask()

    def __repr__(self):
        return str(self.ask())


HARMLESS = {
    "sum of a generator": lambda ask: sum(ask() for _ in range(3)),
    "list": lambda ask: list(each(ask)),
    "join": lambda ask: "".join(each(ask)),
    "any, all": lambda ask: any(not ask() for _ in range(2)) or all(ask() for _ in range(2)),
    "max of map": lambda ask: max(map(ask, [1, 2])),
    "filter": lambda ask: list(filter(ask, [1, 2])),
    "sorted": lambda ask: sorted([2, 1], key=ask),
    "list.sort": lambda ask: [2, 1].sort(key=ask),
    "compared": lambda ask: sorted([Operators(ask), Operators(ask)]),
    "reduce": lambda ask: functools.reduce(ask, [1, 2, 3]),
    "partial": lambda ask: functools.partial(ask, 1)(),
    "lru_cache": lambda ask: functools.lru_cache(ask)(1),
    "re.sub": lambda ask: re.sub("a", lambda _: str(ask()), "aaa"),
    "json": lambda ask: json.loads('{"a": {"b": 1}}', object_hook=ask),
    "json default": lambda ask: json.dumps(object(), default=ask),
    "list.index": lambda ask: [0, Operators(ask)].index(1),
    "set": lambda ask: {Operators(ask), Operators(ask)},
    "operators": lambda ask: (Operators(ask) + 1, Operators(ask)[0], Operators(ask).x, len(Operators(ask))),
    "conditions": lambda ask: [1 for thing in (Operators(ask), Operators(ask)) if thing or not thing],  # noqa: SIM221 - two questions
    "for": lambda ask: [one for one in Operators(ask)],  # noqa: C416 - the loop is the point
    "call": lambda ask: Operators(ask)(),
    "format": lambda ask: f"{Operators(ask)!r}",
    "unpacking": lambda ask: (*Operators(ask), *each(ask)),
    "class": lambda ask: type("New", (), {"__init_subclass__": ask})(),
    "exec": lambda ask: exec("ask()", {"ask": ask}),
    "attrgetter": lambda ask: operator.attrgetter("x")(Operators(ask)),
}


@pytest.mark.parametrize("call", HARMLESS.values(), ids=HARMLESS)
def test_what_hogs_are_made_of_stays_preemptible(call):
    """C code that calls back is, for the most part, as good as beside a thread."""
    assert in_a_task(call) <= {Verdict.SAFE}


def in_sqlite(ask):
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.create_function("ask", 1, ask)
        database.execute("select ask(1)").fetchall()
        for _ in database.execute("select ask(1) union all select ask(2)"):
            pass


def weak(ask):
    thing, got = type("Thing", (), {})(), []
    got.append(weakref.ref(thing, lambda _: ask()))
    del thing
    things = [type("Thing", (), {})()]
    got.append(weakref.ref(things[0], lambda _: ask()))
    things.clear()


def handler(ask):
    def handle(signum, frame):
        ask()

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


def dropped(ask):
    def generator():
        try:
            yield
        finally:
            ask()

    held = generator()
    next(held)
    held = None
    assert held is None


def raw(ask):
    class Raw(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            ask()
            return len(data)

    with io.BufferedWriter(Raw()) as stream:
        stream.write(b"x" * 100_000)


HARMFUL = {
    "sqlite3": in_sqlite,
    "ctypes": lambda ask: ctypes.CFUNCTYPE(None)(lambda: ask() and None)(),
    "weak references": weak,
    "a signal's handler": handler,
    "a generator that is dropped": dropped,
    "a raw stream": raw,
}


@pytest.mark.parametrize("call", HARMFUL.values(), ids=HARMFUL)
def test_what_must_come_back_first_is_refused(call):
    """The C code waits in the middle of something."""
    assert in_a_task(call) == {Verdict.C_FRAME}


def test_the_loops_own_claims_are_learned_from_a_step_too(monkeypatch):
    """Without a tick nobody has taken them between steps."""
    claims = _cframes.Claims()
    monkeypatch.setattr(_iframe, "gil_claims", lambda: 2)

    def step():
        return claims.in_the_way(sys._getframe(), peek=True), claims._own, claims.in_the_way(sys._getframe())

    async def main():
        return step()

    assert preemptio.run(main()) == (False, 1, False)
    assert claims._own == 2
