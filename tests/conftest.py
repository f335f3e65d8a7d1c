"""Every async test runs on both kinds of loop, with a short slice, and leaves the process as it found it."""

import asyncio
import dataclasses
import gc
import signal
import sys

import hypothesis
import pytest
import structlog
import uvloop

import preemptio

hypothesis.settings.register_profile("untimed", deadline=None)  # a slow machine is not a counter-example
hypothesis.settings.load_profile("untimed")

BASES = {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.Loop}


def factory(base):
    """Return a function that makes a loop on `base` with a slice of 1 ms and the knobs that it is given."""

    def make(**knobs):
        with preemptio.config.override(**{"slice": 0.001, **knobs}):
            return preemptio.new_event_loop(base)

    return make


def pytest_asyncio_loop_factories():
    return {name: factory(base) for name, base in BASES.items()}


@pytest.hookimpl(tryfirst=True)  # before `-m` deselects
def pytest_collection_modifyitems(items):
    """What needs a loop is run once more in asyncio's debug mode."""
    for item in items:
        if item.get_closest_marker("asyncio") or "make_loop" in getattr(item, "fixturenames", ()):
            item.add_marker("loop")


def pytest_collection_finish():
    """Tests that collect garbage need not look at the tests each time: that was a third of the suite's time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Fault injection (PREEMPTIO_DEBUG=preemptall=1 or preemptrandom) is off for what is marked `uninjected`."""
    calm = {"preemptall": False, "preemptrandom": ()}
    marked = item.get_closest_marker("uninjected") is not None
    debug = dataclasses.replace(preemptio.config.debug, **calm) if marked else preemptio.config.debug
    with preemptio.config.override(debug=debug):
        return (yield)


@pytest.fixture(params=BASES)
def base(request):
    """The loop class to build on, one after the other."""
    return BASES[request.param]


@pytest.fixture
def make_loop(base):
    """A function that makes loops as the async tests have them, for tests that run their loops themselves."""
    return factory(base)


@pytest.fixture(autouse=True)
def nothing_left():
    """No tick, no handler, no trace function and no GC callback outlives the loop it was for."""

    def hooks():
        found = [*gc.callbacks, sys.gettrace()]
        return [hook for hook in found if str(getattr(hook, "__module__", "")).startswith("preemptio")]

    before = hooks()  # not empty after a test that failed
    yield
    structlog.reset_defaults()  # capture_logs leaves it configured, to write to standard output
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getsignal(getattr(signal, "SIGURG", signal.SIGINT)) in (signal.SIG_DFL, signal.default_int_handler)
    assert hooks() == before
