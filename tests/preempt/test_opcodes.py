"""Where a frame may be stopped: checked against where this very Python calls signal handlers."""

import dis
import itertools
import re
import signal
import sys

import pytest

from preemptio._preempt._opcodes import RESUME, at_safe_opcode

ENOUGH = 60
ON_3_11 = sys.version_info < (3, 12)


class EnoughError(Exception):
    """Ends an endless loop from the signal handler."""


def interrupted(fn, *args):
    """Run an endless function under a fast timer; return where its handler was called, and what was said of that."""
    seen, over = [], []

    def handler(_signum, frame):
        if frame.f_code is fn.__code__ or frame.f_code in fn.__code__.co_consts:
            seen.append((frame.f_code, frame.f_lasti, at_safe_opcode(frame.f_code, frame.f_lasti)))
        if len(seen) >= ENOUGH and not over:
            over.append(True)  # one more signal may be on its way: it must not raise where nobody catches
            raise EnoughError

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
    try:
        with pytest.raises(EnoughError):
            fn(*args)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return seen


def name_at(code, lasti):
    return dis.opname[code.co_code[lasti]]


# Loops of many shapes that call nothing in C, so that the interpreter itself is all that can call a handler.


def for_loop():
    total = 0
    for n in itertools.repeat(1):
        total ^= n


def while_true():
    n = 0
    while True:
        n ^= 1


def while_flag(flag=True):
    n = 0
    while flag:
        n ^= 1


def while_none(nothing=None):
    n = 0
    while nothing is None:
        n ^= 1


def while_int(high=10):
    low = 0
    while low < high:
        low ^= 1


def while_float(high=10.5):
    low = 0.5
    while low < high:
        low = -low


def while_str(word="ab", same="ab"):
    n = 0
    while word == same:
        n ^= 1


def while_str_order(first="a", last="b"):
    n = 0
    while first < last:
        n ^= 1


def while_object(one=..., other=...):
    n = 0
    while one == other:
        n ^= 1


def while_two(low=0, high=10, word="a"):
    while low < high and word == "a":
        low ^= 1


def nested_for():
    for _ in itertools.repeat(0):
        for _ in (1, 2, 3):
            pass


def continues():
    for n in itertools.repeat(0):
        if n:
            continue
        n ^= 1  # noqa: PLW2901 - work


def comprehension():
    return [n for n in itertools.repeat(0) if n]


def generator():
    for _ in (n for n in itertools.repeat(0)):
        pass


def catches():
    while True:
        try:
            raise ValueError
        except ValueError:
            pass


SHAPES = [
    for_loop,
    while_true,
    while_flag,
    while_none,
    while_int,
    while_float,
    while_str,
    while_str_order,
    while_object,
    while_two,
    nested_for,
    continues,
    comprehension,
    generator,
]

# What makes a loop end before it begins: called so for a while, the function is specialised by the interpreter.
ENDS = [
    (while_flag, False),
    (while_none, 0),
    (while_int, 0),
    (while_float, 0.0),
    (while_str, "cd"),
    (while_str_order, "c"),
    (while_object, None),
    (while_two, 20),
]


SLOW = re.compile("(a+)+b")


class TestOnThisPython:
    """A real timer, real loops."""

    @pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
    def test_every_interruption_of_a_loop_is_at_a_safe_place(self, shape):
        """A loop that calls nothing can always be stopped: wherever its handler is called, the answer is yes."""
        refused = {(name_at(code, lasti), lasti) for code, lasti, safe in interrupted(shape) if not safe}
        assert refused == set()

    @pytest.mark.parametrize(("shape", "end"), ENDS, ids=lambda value: getattr(value, "__name__", ""))
    def test_also_when_the_loop_is_specialised(self, shape, end):
        """3.11 checks for signals inside the fused compare-and-jump that a warm loop ends in."""
        for _ in range(100):
            shape(end)
        seen = interrupted(shape)
        assert {(name_at(code, lasti), lasti) for code, lasti, safe in seen if not safe} == set()
        if ON_3_11 and shape in {while_int, while_float, while_str}:
            assert "COMPARE_OP" in {name_at(code, lasti) for code, lasti, _ in seen}

    def test_a_recursive_function_can_be_stopped_at_its_entry(self):
        """Many entries and no loop."""

        def recursion():
            while True:
                down(20)

        def down(n):
            return n and down(n - 1)

        entries, over = [], []

        def handler(_signum, frame):
            if frame.f_code is down.__code__ and at_safe_opcode(frame.f_code, frame.f_lasti):
                entries.append(name_at(frame.f_code, frame.f_lasti))
            if len(entries) >= ENOUGH and not over:
                over.append(True)
                raise EnoughError

        before = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
        try:
            with pytest.raises(EnoughError):
                recursion()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert set(entries) == {"RESUME"}

    @pytest.mark.parametrize(
        "call",
        [
            lambda: SLOW.match("a" * 64),  # polls for signals inside the match
            lambda: pow(3, 1 << 30),
            lambda: int("7" * 4000) ** (1 << 18),
        ],
        ids=["re", "pow", "operator"],
    )
    def test_an_interruption_inside_a_c_function_is_refused(self, call):
        """The handler runs on top of C code that is half-way through."""
        code = call.__code__
        said = []

        def handler(_signum, frame):
            if frame.f_code is code and frame.f_lasti >= inside:  # a busy machine may not have come so far
                said.append(at_safe_opcode(code, frame.f_lasti))
                raise EnoughError

        inside = max(at.offset for at in dis.get_instructions(code) if at.opname.startswith(("CALL", "BINARY_OP")))
        before = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
        try:
            with pytest.raises(EnoughError):
                call()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert said == [False]


class TestByInstruction:
    """What the bytecode says, without a signal."""

    @pytest.mark.parametrize("shape", [*SHAPES, catches, interrupted], ids=lambda shape: shape.__name__)
    def test_only_entries_and_back_edges_are_safe(self, shape):
        """Of all instructions of a cold function: RESUME, and the jumps that go backward."""
        for code in [shape.__code__, *(c for c in shape.__code__.co_consts if hasattr(c, "co_code"))]:
            code = code.replace()  # noqa: PLW2901 - as cold as on the first day
            for instruction in dis.get_instructions(code):
                if at_safe_opcode(code, instruction.offset):
                    backward = "BACKWARD" in instruction.opname and instruction.argval < instruction.offset
                    assert backward or (instruction.opcode == RESUME and instruction.arg & 3 < 2)

    def test_a_frame_that_has_not_begun_is_at_its_entry(self):
        """f_lasti is -1 then."""
        assert at_safe_opcode(for_loop.__code__, -1)

    def test_resuming_from_an_await_is_not_an_entry(self):
        """The interpreter does not look for signals there; resuming from a yield it does."""

        async def awaits(x):
            await x

        def yields():
            yield

        def resumes(fn):
            found = dis.get_instructions(fn)
            return {i.arg & 3: at_safe_opcode(fn.__code__, i.offset) for i in found if i.opcode == RESUME}

        assert resumes(awaits) == {0: True, 3: False}
        assert resumes(yields) == {0: True, 1: True}

    @pytest.mark.skipif(not ON_3_11, reason="3.12 does not fuse compare and jump")
    def test_on_3_11_a_fused_compare_at_a_back_edge_is_safe(self):
        """COMPARE_OP that was specialised and is followed by a backward jump; not a cold one, not a forward one."""

        def warm(high, low=0):
            while low < high:
                low += 1

        def compares():
            return [i.offset for i in dis.get_instructions(warm) if i.opname == "COMPARE_OP"]

        assert [at_safe_opcode(warm.__code__, at) for at in compares()] == [False, False]
        for _ in range(20):
            warm(50)
        assert [at_safe_opcode(warm.__code__, at) for at in compares()] == [False, True]

    @pytest.mark.skipif(not ON_3_11, reason="3.12 does not fuse compare and jump")
    def test_on_3_11_a_compare_that_calls_python_stays_unsafe(self):
        """A generic compare may run anything, for instance a half-done sort's __lt__."""

        class Number:
            def __init__(self, n):
                self.n = n

            def __lt__(self, other):
                self.n += 1
                return self.n < other

        def warm(low, high):
            while low < high:
                pass

        for _ in range(20):
            warm(Number(0), 50)
        compares = [i.offset for i in dis.get_instructions(warm) if i.opname == "COMPARE_OP"]
        assert compares
        assert not any(at_safe_opcode(warm.__code__, at) for at in compares)

    @pytest.mark.skipif(ON_3_11, reason="3.11 fuses compare and jump")
    def test_from_3_12_no_compare_is_safe(self):
        """Specialised or not."""
        for _ in range(50):
            while_int(0)
        for instruction in dis.get_instructions(while_int):
            if instruction.opname == "COMPARE_OP":
                assert not at_safe_opcode(while_int.__code__, instruction.offset)
