"""The ladder of rules: each verdict in a small situation that has just that one thing wrong.

`ask` is called by the code under test, in a G, and puts the frame of its caller before the rules.
"""

import asyncio
import contextlib
import ctypes
import gc
import importlib
import sys
import threading
from pathlib import Path

import pytest
from greenlet import greenlet

import preemptio
from preemptio._core._gstatus import Gstatus
from preemptio._core._reasons import Verdict
from preemptio._preempt._safepoint import SafePoints
from preemptio.lowlevel import current_g

pytestmark = pytest.mark.loop


def rules(policy="user", allow=(), deny=(), async_off=False):
    return SafePoints(policy=policy, allow=allow, deny=deny, async_off=async_off)


def ask(depth=0, certain=True, g=None, **knobs):
    """Return what the rules say of the frame that called, or of one further out."""
    asked = rules(**knobs)
    asked.claims = asyncio.get_running_loop()._rules.claims
    return asked.verdict(g or current_g(), sys._getframe(1 + depth), certain=certain)


def ask_here():
    """Ask, in a frame of the user's own."""
    return ask()


def in_a_task(fn):
    """Run a function in a task's step, called by a coroutine of the user's."""

    async def main():
        return fn()

    return preemptio.run(main())


def test_a_function_of_the_users_is_safe():
    """Called by a coroutine of the user's; also at any depth, and in the coroutine itself."""

    def deep(n):
        return deep(n - 1) if n else ask()

    async def main():
        return [ask(), deep(0), deep(50)]

    assert preemptio.run(main()) == [Verdict.SAFE] * 3


def test_a_plain_function_that_go_runs_is_safe():
    """The coroutine that owns it is the runtime's, made for that."""

    async def main():
        return await preemptio.go(ask_here)

    assert preemptio.run(main()) is Verdict.SAFE


def test_an_async_generator_of_the_users_is_safe():
    """It is a coroutine as good as any."""

    async def generator():
        yield ask()

    async def main():
        return [verdict async for verdict in generator()]

    assert preemptio.run(main()) == [Verdict.SAFE]


def test_pure_modules_are_safe():
    """A callback of the user's below code that only computes."""
    import json

    class Odd:
        pass

    def default(_odd):
        said.append(ask())
        return 1

    said = []
    in_a_task(lambda: json.dumps({"a": Odd()}, default=default, indent=1))
    assert said == [Verdict.SAFE]


def test_off():
    """asyncpreemptoff comes first: nothing else is looked at."""
    assert in_a_task(lambda: ask(async_off=True)) is Verdict.OFF


@pytest.mark.uninjected("a task that has not begun yet")
def test_not_running():
    """A G that is not in its step, or half-way out of it."""

    async def main():
        other = preemptio.go(asyncio.sleep, 0)
        return ask(g=other.g), other.g.status

    assert preemptio.run(main()) == (Verdict.NOT_RUNNING, Gstatus.RUNNABLE)


def test_masked():
    """Inside nopreempt, in whatever function."""

    def region():
        with preemptio.nopreempt("test"):
            return [ask(), ask_here()]

    assert in_a_task(region) == [Verdict.MASKED] * 2


class Finalized:
    """Says what the rules say of its finalizer."""

    def __init__(self, said, cyclic):
        self.said = said
        self.me = self if cyclic else None

    def __del__(self):
        self.said.append(self.below())

    def below(self):
        return ask()


def test_finalizer():
    """__del__, and what it calls: it runs at any place of any code."""
    said = []
    in_a_task(lambda: Finalized(said, cyclic=False).me)
    assert said == [Verdict.FINALIZER]


def test_gc():
    """Whatever runs below the collector."""
    said = []

    def collect():
        Finalized(said, cyclic=True)
        gc.collect()

    in_a_task(collect)
    assert said == [Verdict.GC]


@pytest.mark.skipif(sys.gettrace() is not None, reason="something traces this run")
def test_tracer():
    """While a debugger traces, and not after it is gone."""

    def traced():
        sys.settrace(lambda *_args: None)
        try:
            return ask()
        finally:
            sys.settrace(None)

    assert in_a_task(lambda: [traced(), ask()]) == [Verdict.TRACER, Verdict.SAFE]


def test_runtime():
    """A frame of the library's own, at the top."""

    async def main():
        return await preemptio.go(lambda: ask(depth=1))

    assert preemptio.run(main()) is Verdict.RUNTIME


def test_opcode():
    """The caller stands at a call: only somebody who knows better may be certain."""
    assert in_a_task(lambda: [ask(certain=False), ask(certain=True)]) == [Verdict.OPCODE, Verdict.SAFE]


def test_no_owner_in_another_greenlet():
    """The stack ends before a coroutine is met."""
    assert in_a_task(lambda: greenlet(ask_here).switch()) is Verdict.NO_OWNER


def test_owner():
    """A callback of the user's below a coroutine of asyncio's."""

    async def main():
        condition = asyncio.Condition()
        async with condition:
            return await condition.wait_for(lambda: ask().value)

    assert preemptio.run(main()) == Verdict.OWNER.value


def test_a_coroutine_of_the_users_below_one_of_asyncios_is_its_own_owner():
    """wait_for(mine()): the innermost coroutine counts."""

    async def mine():
        return ask()

    async def main():
        return await asyncio.wait_for(mine(), 10)

    assert preemptio.run(main()) is Verdict.SAFE


def test_stdlib():
    """A callback of the user's below a module that keeps state."""

    def below():
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: said.append(ask()))
        return said

    said = []
    assert in_a_task(below) == [Verdict.STDLIB]


@pytest.fixture
def site(tmp_path, monkeypatch):
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    yield site
    for name in ("aware_lib", "plain_lib", "imported"):
        sys.modules.pop(name, None)


def test_import(site):
    """The body of a module that is being imported."""
    (site / "imported.py").write_text(f"import sys\nVERDICT = sys.modules[{__name__!r}].ask()\n")
    importlib.invalidate_caches()
    assert in_a_task(lambda: importlib.import_module("imported").VERDICT) is Verdict.IMPORT


def test_third_party(site):
    """Below an async-aware library; an ordinary one is as good as the user's code, and so is one that is allowed."""
    for name, head in (("aware_lib", "import asyncio\n"), ("plain_lib", "")):
        (site / f"{name}.py").write_text(f"{head}def call(fn):\n    return fn()\n")
    importlib.invalidate_caches()
    aware, plain = importlib.import_module("aware_lib"), importlib.import_module("plain_lib")

    def said():
        return [aware.call(ask_here), plain.call(ask_here), aware.call(lambda: ask(allow=("aware_lib",)))]

    assert in_a_task(said) == [Verdict.THIRD_PARTY, Verdict.SAFE, Verdict.SAFE]


def test_a_library_coroutine_owns_its_step(site):
    """Ordinary third-party code may be interrupted in a function, not between the awaits of a coroutine."""
    (site / "plain_lib.py").write_text("async def call(fn):\n    return fn()\n")
    importlib.invalidate_caches()
    plain = importlib.import_module("plain_lib")

    async def main():
        return [await plain.call(ask_here), await plain.call(lambda: ask(allow=("plain_lib",)))]

    assert preemptio.run(main()) == [Verdict.OWNER, Verdict.SAFE]


def test_lock():
    """A thread lock that a frame of the step holds; the spellings are in test_held.py."""

    lock = threading.Lock()

    def locked():
        with lock:
            return [ask(), ask_here()]

    assert in_a_task(locked) == [Verdict.LOCK] * 2


def test_c_frame():
    """C code that must not be left is below; which is, is in test_cframes.py."""
    said = []
    called_back = ctypes.CFUNCTYPE(None)(lambda: said.append(ask()))

    def call():
        called_back()

    in_a_task(call)
    assert said == [Verdict.C_FRAME]


def test_denied():
    """Named by the user, in whatever class it was; also where the rest of the rule is off. More: test_policy.py."""
    deny = (f"{__name__}:ask_denied",)
    assert in_a_task(lambda: [ask(deny=deny), ask_denied(deny=deny)]) == [Verdict.SAFE, Verdict.DENIED]
    assert in_a_task(lambda: ask_denied(deny=deny, policy="any")) is Verdict.DENIED


def ask_denied(**knobs):
    """Ask, in a function that is denied."""
    return ask(**knobs)


@pytest.mark.uninjected("it is not begun again")
def test_restart():
    """In the last statement of a restartable function, and below a `try` or `with`. More: test_restart.py."""

    @preemptio.restartable
    def read():
        before = ask()
        try:
            inside = ask()
        finally:
            called = guarded()
        return before, inside, called, ask()

    def guarded():
        with contextlib.nullcontext():
            pass
        return ask_here()

    assert in_a_task(read) == (Verdict.SAFE, Verdict.RESTART, Verdict.RESTART, Verdict.RESTART)


def test_policy_any_asks_nobody_whose_code_it_is():
    """All other rules hold still."""

    async def main():
        condition = asyncio.Condition()
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: said.append(ask(policy="any")))
        async with condition:
            await condition.wait_for(lambda: said.append(ask(policy="any")) or True)
        Finalized(said, cyclic=False).me = None
        with preemptio.nopreempt("test"):
            said.append(ask(policy="any"))

    said = []
    preemptio.run(main())
    assert said == [Verdict.SAFE, Verdict.SAFE, Verdict.FINALIZER, Verdict.MASKED]


def test_every_verdict_has_its_situation():
    """Nobody adds a verdict without one. STACK and ERROR are the tick's own: see test_tick.py."""
    text = Path(__file__).read_text("utf-8")
    missing = {verdict.name for verdict in Verdict if f"Verdict.{verdict.name}" not in text}
    assert missing == {"STACK", "ERROR"}
