"""The door to the interpreter's frames: what it reads is what Python says by other ways."""

import ctypes
import functools
import importlib.util
import sys

import pytest

from preemptio import _compat
from preemptio._preempt import _iframe

pytestmark = pytest.mark.skipif(not _iframe.AVAILABLE, reason="frames of this interpreter cannot be read")


def test_it_is_available_where_it_claims_to_be():
    """On the releases whose layout is known; elsewhere nobody asks it anything."""
    assert _compat.RELEASE in {(3, 11), (3, 12), (3, 13)}
    assert _iframe._claims_at > 0


def test_variables_cells_and_nothing():
    """By number: arguments, locals, cells by their content, and None for what is not bound."""

    def function(first, second):
        third = [first]
        frame = sys._getframe()
        assert [_iframe.local(frame, n) for n in range(3)] == [first, second, third]
        del second, third
        assert [_iframe.local(frame, n) for n in range(3)] == [first, None, None]
        return lambda: first

    function("a", "b")


def test_frames_of_generators():
    """Running and suspended."""

    def generator(first):
        assert _iframe.local(sys._getframe(), 0) == first
        yield

    running = generator("a")
    next(running)
    assert _iframe.local(running.gi_frame, 0) == "a"


def test_reading_leaves_the_counts_of_references_alone():
    """A thousand times."""

    def function(thing):
        before = sys.getrefcount(thing)
        for _ in range(1000):
            _iframe.local(sys._getframe(), 0)
        return sys.getrefcount(thing) - before

    assert function(object()) == 0


def entered():
    return _iframe.entered_from_c(sys._getframe())


class Callable:
    def __call__(self):
        return entered_twice()


def entered_twice():
    return _iframe.entered_from_c(sys._getframe())


def test_who_called():
    """Python code, or C code in between."""
    assert not entered()
    assert [*map(lambda _: _iframe.entered_from_c(sys._getframe()), [1])] == [True]  # noqa: C417 - map is the point
    said = []
    max([1], key=lambda _: said.append(_iframe.entered_from_c(sys._getframe())) or 0)
    assert said == [True]
    assert functools.partial(entered)()
    assert not Callable()()


def test_claims_to_the_gil():
    """One more within each callback that a C library makes with the GIL released."""
    before = _iframe.gil_claims()
    said = []
    callback = ctypes.CFUNCTYPE(None)
    callback(lambda: callback(lambda: said.append(_iframe.gil_claims()))() or said.append(_iframe.gil_claims()))()
    assert [n - before for n in said] == [2, 1]
    sorted([1], key=lambda _: said.append(_iframe.gil_claims()) or 0)
    assert said[2] == before == _iframe.gil_claims()


def test_another_interpreter_is_left_alone(monkeypatch):
    """Where the release is not known, or the first look is wrong, nothing is read."""
    for name, value in (("RELEASE", (3, 99)), ("unsupported", lambda: "it is another one")):
        with monkeypatch.context() as patch:
            patch.setattr(_compat, name, value)
            again = importlib.util.module_from_spec(importlib.util.find_spec(_iframe.__name__))
            again.__spec__.loader.exec_module(again)
            assert not again.AVAILABLE
            assert again.gil_claims() == 0
