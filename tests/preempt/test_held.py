"""The lock rule: each spelling, and generated functions against locks that know themselves whether they are held."""

import asyncio
import contextlib
import io
import multiprocessing
import random
import re
import sys
import threading
import types

import pytest

import preemptio
from preemptio._core._reasons import Verdict
from preemptio._preempt import _held, _iframe
from preemptio._preempt._blocks import blocks
from preemptio._preempt._held import holds
from preemptio._preempt._opcodes import at_safe_opcode
from preemptio._preempt._safepoint import SafePoints

pytestmark = pytest.mark.skipif(not _iframe.AVAILABLE, reason="frames of this interpreter cannot be read")


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """What a test registers is forgotten after it."""
    for table in ("_known", "_late"):
        monkeypatch.setattr(_held, table, dict(getattr(_held, table)))
    monkeypatch.setattr(_held, "_modules", 0)


def held():
    """Report what the rule says of the frame that calls."""
    return holds(sys._getframe(1))


LOCK, OTHER, RLOCK = threading.Lock(), threading.Lock(), threading.RLock()


class Account:
    shared = threading.Lock()

    def __init__(self):
        self.lock = threading.Lock()
        self.part = types.SimpleNamespace(lock=threading.RLock())
        self.locks = [threading.Lock()]

    def get_lock(self):
        return self.lock


class Slotted:
    __slots__ = ("lock",)

    def __init__(self):
        self.lock = threading.Lock()


class Plain:
    """A context manager that is not a lock."""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False


ME, SLOTTED = Account(), Slotted()
MANAGERS = {
    "lock": LOCK,
    "rlock": RLOCK,
    "condition": threading.Condition(),
    "semaphore": threading.Semaphore(2),
    "bounded semaphore": threading.BoundedSemaphore(1),
    "python's rlock": threading._PyRLock(),
    "multiprocessing.Lock": multiprocessing.Lock(),
    "multiprocessing.RLock": multiprocessing.RLock(),
    "multiprocessing.Semaphore": multiprocessing.Semaphore(),
    "multiprocessing.Condition": multiprocessing.Condition(),
}


@pytest.mark.parametrize("manager", MANAGERS.values(), ids=MANAGERS)
def test_each_kind_of_lock_is_known(manager):
    """In the body and in its loops, not before and not behind."""
    said = [held()]
    with manager:
        said.append(held())
        for _ in range(2):
            said += [held()]
    said.append(held())
    assert said == [False, True, True, True, False]


PLAIN = {
    "file": io.StringIO,
    "suppress": lambda: contextlib.suppress(KeyError),
    "nullcontext": lambda: contextlib.nullcontext(LOCK),
    "own": Plain,
    "stack": contextlib.ExitStack,
    "memoryview": lambda: memoryview(b""),
}


@pytest.mark.parametrize("make", PLAIN.values(), ids=PLAIN)
def test_other_context_managers_are_not_locks(make):
    """Most `with` statements are about something else."""
    with make():
        assert not held()
        for _ in range(2):
            assert not held()


def in_with(text):
    """Run the body of a function whose `with` is spelled so."""
    scope = {"LOCK": LOCK, "OTHER": OTHER, "ME": ME, "SLOTTED": SLOTTED, "Plain": Plain, "held": held}
    exec(f"def f(self=ME):\n    alias = LOCK\n    with {text}:\n        return held()", scope)
    return scope["f"]()


@pytest.mark.parametrize(
    "text",
    [
        "LOCK",
        "LOCK as got",
        "alias",
        "self.lock",
        "ME.part.lock",
        "self.locks[0]",
        "self.get_lock()",
        "type(self).shared",
        "SLOTTED.lock",
        "(lambda: LOCK)()",
        "LOCK, OTHER",
        "Plain(), LOCK",
        "LOCK, Plain()",
        "(OTHER if not self else LOCK)",
        "(walrus := LOCK)",
    ],
)
def test_every_spelling_of_with(text):
    """What is looked at is the object, not how the source came by it."""
    assert in_with(text)
    assert not LOCK.locked()


def test_nested_and_around():
    """A lock outside of a plain `with` counts in that, and one inside of it does not outside."""
    with Plain():
        said = [held()]
        with LOCK:
            said.append(held())
            with Plain():
                said.append(held())
                try:
                    raise KeyError
                except KeyError:
                    said.append(held())
                finally:
                    said.append(held())
            said.append(held())
        said.append(held())
    assert said == [False, True, True, True, True, True, False]


def test_a_name_that_is_bound_anew():
    """The manager counts, whatever the name means by now."""
    lock = LOCK
    with lock:
        lock = None
        assert held()
    assert not held()
    assert lock is None


def test_a_lock_that_was_released_by_hand():
    """It holds nobody up any more."""
    with LOCK:
        LOCK.release()
        assert not held()
        LOCK.acquire()
        assert held()


def walk(frame):
    """Ask the rules about a frame of a running step: the verdict and the frame that decided."""
    return SafePoints(policy="user", allow=(), async_off=False).walk(frame, elsewhere=False)


def test_the_frames_between_are_asked():
    """A function that is called with the lock held is inside as well."""

    def inner():
        return walk(sys._getframe())

    def outer():
        with RLOCK:
            return inner(), sys._getframe()

    async def main(call):
        return call()

    found, frame = preemptio.run(main(outer))
    assert found == (Verdict.LOCK, frame)
    assert preemptio.run(main(inner))[0] is Verdict.SAFE


def test_exit_stacks():
    """Whatever was put on them, in whatever way."""
    for put in ("enter_context(LOCK)", "push(LOCK)", "callback(LOCK.release)", "enter_context(nested)"):
        nested = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            assert not held()
            if "enter" not in put or "nested" in put:
                LOCK.acquire()
            if "nested" in put:
                nested.push(LOCK)
            eval(f"stack.{put}", {"LOCK": LOCK, "stack": stack, "nested": nested})
            assert held(), put
            stack.pop_all().close()
            assert not held(), put
        assert not LOCK.locked()


@contextlib.contextmanager
def generated(lock):
    with lock:
        yield


@contextlib.contextmanager
def released(lock):
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def around(manager):
    with manager:
        yield


def test_generators_as_context_managers():
    """The suspended generator is what holds it."""
    for manager in (generated(LOCK), released(LOCK), around(generated(LOCK)), around(LOCK)):
        with manager:
            assert held()
        assert not held()
    with around(Plain()):
        assert not held()


def test_acquire_try_finally_release():
    """Spelled in full, as it is where a timeout is wanted."""
    said = []

    def variable(lock):
        lock.acquire()
        try:
            for n in range(2):
                said[n:] = [held()]
        finally:
            said.append(held())
            lock.release()
        said.append(held())

    def attribute(self):
        if not self.part.lock.acquire(timeout=1):
            return None
        try:
            said.append(held())
            return held()
        finally:
            said.append(held())
            self.part.lock.release()

    def free():
        LOCK.acquire()
        try:
            said.append(held())
            ME.lock  # noqa: B018
        except KeyError:
            said.append(None)
        finally:
            LOCK.release()
        said.append(held())

    def closure(lock):
        def inner():
            lock.acquire()
            try:
                said.append(held())
            finally:
                lock.release()

        inner()
        said.append(held())

    variable(LOCK)
    assert said == [True, True, True, False]
    said.clear()
    assert attribute(ME)
    assert said == [True, True]
    said.clear()
    for call in (free, lambda: closure(LOCK)):
        call()
    assert said == [True, False, True, False]


def test_a_slot_and_a_class_attribute_are_found_for_release():
    """Without running anything."""
    SLOTTED.lock.acquire()
    try:
        assert held()
    finally:
        SLOTTED.lock.release()
    Account.shared.acquire()
    try:
        assert held()
    finally:
        Account.shared.release()


def test_nothing_of_the_users_runs():
    """Neither `__getattr__`, nor properties, nor what a metaclass says."""
    ran = []

    class Meta(type):
        def __getattribute__(cls, name):
            ran.append(name)
            return super().__getattribute__(name)

    class Odd(metaclass=Meta):
        def __getattribute__(self, name):
            ran.append(name)
            return object.__getattribute__(self, name)

        @property
        def lock(self):
            ran.append("lock")
            return LOCK

        def __enter__(self):
            return self

        def __exit__(self, *exc):
            return False

    odd = Odd()

    def look():
        with odd:
            try:
                ran.clear()
                return held(), list(ran)
            finally:
                with contextlib.suppress(RuntimeError):
                    odd.lock.release()

    assert look() == (False, [])


class Guard:
    """Somebody's own lock."""

    def __init__(self):
        self.depth = 0
        self.said = []

    def acquire(self):
        self.said.append(held())
        self.depth += 1

    def release(self):
        self.said.append(held())
        self.depth -= 1

    def __enter__(self):
        self.acquire()

    def __exit__(self, *exc):
        self.release()


def test_a_registered_type():
    """And its subclasses; its own methods are inside, since they are half-way in or out."""

    class Sub(Guard):
        pass

    guard = Sub()
    with guard:
        assert not held()
    assert preemptio.register_lock_type(Guard) is Guard
    guard.said.clear()
    with guard:
        assert held()
    assert guard.said == [True, True]


def test_what_is_not_a_class_is_refused():
    """And the message says what to type."""
    with pytest.raises(TypeError, match=re.escape("write preemptio.register_lock_type(Guard)")):
        preemptio.register_lock_type(Guard())


def test_classes_of_modules_that_come_later(monkeypatch):
    """filelock and the like are not imported for that."""
    module = types.ModuleType("late_module")
    monkeypatch.setitem(_held._late, "late_module", ("Late",))

    class Late(Plain):
        pass

    with Late():
        assert not held()
        monkeypatch.setitem(sys.modules, "late_module", module)
        assert not held()  # it is half-imported
        module.Late = Late
        assert held()
    assert "late_module" not in _held._late


def test_coroutines():
    """A lock around an await counts in what is awaited; asyncio's locks do not count."""

    async def inner():
        return walk(sys._getframe())[0] is Verdict.LOCK

    async def main():
        said = [await inner()]
        with LOCK:
            said.append(await inner())
        async with asyncio.Lock():
            said.append(await inner())
        async with contextlib.AsyncExitStack() as stack:
            said.append(held())
            stack.enter_context(LOCK)
            said.append(held())
        async with generated_async():
            said.append(held())
        return said

    @contextlib.asynccontextmanager
    async def generated_async():
        with LOCK:
            yield

    assert preemptio.run(main()) == [False, True, False, False, True, True]


def test_where_frames_cannot_be_read(monkeypatch):
    """Whatever might be a lock is taken for one."""
    monkeypatch.setattr(_iframe, "AVAILABLE", False)

    async def main():
        async with asyncio.Lock():
            return held()

    with Plain():
        assert held()
    assert not held()
    assert not asyncio.run(main())


def test_tables_go_with_their_code():
    """They are kept by identity, and no longer than what they describe."""
    from preemptio._preempt import _blocks

    scope = {"LOCK": LOCK}
    exec("def f():\n    with LOCK:\n        pass", scope)
    code = scope.pop("f").__code__
    key = id(code)
    assert blocks(code) is blocks(code) is not None
    assert key in _blocks._tables
    del code
    assert key not in _blocks._tables


# -- generated functions --


class Known:
    """A lock that knows whether it is held."""

    def __init__(self):
        self.depth = 0

    def __enter__(self):
        self.depth += 1
        return self

    def __exit__(self, *exc):
        self.depth -= 1
        return exc[0] is not None and COIN()


A, B, R = Known(), Known(), threading.RLock()
BOX = types.SimpleNamespace(a=A, r=R)
COIN = random.Random(0).random


class Coin:
    """Zero or something, and the end of a function that asks too often."""

    def __init__(self, budget):
        self.budget = budget

    def __call__(self):
        self.budget -= 1
        if self.budget < 0:
            raise TimeoutError
        return COIN() if COIN() < 0.7 else 0


def three():
    return range(int(COIN() * 4))


def truth():
    return A.depth > 0 or B.depth > 0 or R._is_owned()


class Source:
    """Writes a function of nested blocks."""

    HEADS = (
        *("with A:", "with BOX.a as x:", "with make(B):", "with Plain(), A, Plain() as x:", "with Plain():"),
        *("with A, B:", "for x in three():", "for x in three():", "while coin():", "while coin() > 0.5:"),
        *("if coin():", "else", "try/except", "try/finally", "acquire R", "acquire BOX.r", "while True:"),
    )
    LINES = ("probe()", "x = coin()", "x = sum([probe() for x in three()])", "x = max([3, 1], key=lambda y: probe())")

    def __init__(self, seed, generator):
        self.rng = random.Random(seed)
        self.generator = generator
        self.text = ["def f():", "    x = None"]

    def build(self):
        self.block(1, 4, loop=False)
        if self.generator:
            self.add(1, "yield")
        return "\n".join(self.text)

    def add(self, indent, line):
        self.text.append("    " * indent + line)

    def block(self, indent, depth, loop):
        for _ in range(self.rng.randint(1, 3)):
            self.statement(indent, depth, loop)

    def statement(self, indent, depth, loop):
        pick = self.rng.random()
        if depth == 0 or pick < 0.25:
            leaves = [*self.LINES, "if coin(): raise KeyError", "if coin() > 0.8: return"]
            leaves += ["if coin(): continue", "if coin(): break"] * loop + ["yield x", "x = yield"] * self.generator
            self.add(indent, self.rng.choice(leaves))
            return
        head = self.rng.choice(self.HEADS)
        if head == "else":
            self.add(indent, "if coin():")
            self.block(indent + 1, depth - 1, loop)
            self.add(indent, "else:")
            self.block(indent + 1, depth - 1, loop)
        elif head == "try/except":
            self.add(indent, "try:")
            self.block(indent + 1, depth - 1, loop)
            self.add(indent, "except KeyError:")
            self.block(indent + 1, depth - 1, loop)
        elif head == "try/finally":
            self.add(indent, "try:")
            self.block(indent + 1, depth - 1, loop)
            self.add(indent, "finally:")
            self.block(indent + 1, min(depth - 1, 1), loop=False)
        elif head.startswith("acquire"):
            lock = head.partition(" ")[2]
            self.add(indent, f"{lock}.acquire()")
            self.add(indent, "try:")
            self.block(indent + 1, depth - 1, loop)
            self.add(indent, "finally:")
            if self.rng.random() < 0.3:
                self.add(indent + 1, "probe()")
            self.add(indent + 1, f"{lock}.release()")
        else:
            self.add(indent, head)
            self.block(indent + 1, depth - 1, loop or head.startswith(("for", "while")))
            if head == "while True:":
                self.add(indent + 1, "if coin(): break")


@pytest.mark.skipif(sys.gettrace() is not None, reason="something traces this run")
@pytest.mark.parametrize("generator", [False, True], ids=["function", "generator"])
def test_generated_functions(generator, monkeypatch):
    """At each instruction reading is safe, and at each place where a step may be stopped the answer is the truth."""
    preemptio.register_lock_type(Known)
    global COIN
    wrong, seen = [], {True: 0, False: 0}

    def probe():
        frame = sys._getframe(1)
        while frame.f_code is not code and not holds(frame):  # of a lambda or a comprehension
            frame = frame.f_back
        check(frame, "probe")
        return 0

    def check(frame, what):
        said, true = holds(frame), truth()
        seen[true] += 1
        if said != true:
            wrong.append((seed, what, frame.f_lasti, said, true))

    def on_event(frame, event, _arg):
        if frame.f_code is not code:
            return None
        frame.f_trace_opcodes = True
        if event in {"opcode", "line"}:
            if at_safe_opcode(code, frame.f_lasti):
                check(frame, "opcode")
            else:
                holds(frame)
        return on_event

    for seed in range(300):
        COIN = random.Random(seed).random
        scope = {"A": A, "B": B, "R": R, "BOX": BOX, "Plain": Plain, "make": lambda lock: lock, "probe": probe}
        scope |= {"coin": Coin(400), "three": three}
        source = Source(seed, generator).build()
        exec(compile(source, f"<generated {seed}>", "exec"), scope)
        function = scope["f"]
        code = function.__code__
        for _ in range(5):
            sys.settrace(on_event)
            try:
                for _ in function() or () if generator else (function(),):
                    pass
            except (KeyError, TimeoutError):
                pass
            finally:
                sys.settrace(None)
            assert not truth(), source
        if wrong:
            break
    assert not wrong, (wrong[:5], source)
    assert min(seen.values()) > 1000, seen
