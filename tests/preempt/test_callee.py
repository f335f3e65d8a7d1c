"""Which function a frame calls: read without running anything, and unknown where it is not plain."""

import queue
import select
import signal
import socket
import threading
import time

import pytest

from preemptio._preempt._callee import callee
from preemptio._preempt._rescue import THREADED, WAITS


class Holder:
    """Attributes of every kind."""

    __slots__ = ("__dict__", "slot")
    shared = threading.Lock()

    def __init__(self):
        self.mine = threading.Lock()
        self.slot = threading.Lock()

    @property
    def computed(self):
        """Must not be run by a look."""
        raise AssertionError("a property was run")


holder = Holder()


def seen(fn, *args):
    """Return what the tick would see while `fn` waits."""
    found = []
    before = signal.signal(signal.SIGALRM, lambda _signum, frame: found.append((frame.f_code, callee(frame))))
    signal.setitimer(signal.ITIMER_REAL, 0.005)
    try:
        fn(*args)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    ((code, what),) = found
    assert code is fn.__code__
    return what


def sleeps():
    time.sleep(0.02)


def computes_its_argument(parts=(0.01, 0.01)):
    time.sleep(sum(parts) + max(0, len(parts) - 2))


def takes(lock):
    lock.acquire(timeout=0.02)


def takes_by_keyword(lock):
    lock.acquire(blocking=True, timeout=0.02)


def takes_mine():
    holder.mine.acquire(timeout=0.02)


def takes_slot():
    holder.slot.acquire(timeout=0.02)


def takes_shared():
    holder.shared.acquire(timeout=0.02)


def enters(lock):
    with lock:
        pass


def receives(here):
    here.recv(1)


def selects():
    select.select([], [], [], 0.02)


@pytest.mark.parametrize("fn", [sleeps, computes_its_argument])
def test_a_function_of_a_module(fn):
    """Whatever its arguments are made of."""
    assert seen(fn) == (time, "sleep")


@pytest.mark.parametrize("fn", [takes, takes_by_keyword])
def test_a_method_of_a_local(fn):
    """Its owner is the object itself."""
    lock = threading.Lock()
    with lock:
        owner, name = seen(fn, lock)
    assert (owner is lock, name) == (True, "acquire")


@pytest.mark.parametrize(("fn", "name"), [(takes_mine, "mine"), (takes_slot, "slot"), (takes_shared, "shared")])
def test_an_attribute_of_an_object(fn, name):
    """In its dictionary, in a slot, or of its class."""
    lock = getattr(holder, name)
    with lock:
        owner, _ = seen(fn)
    assert owner is lock


def test_a_with_statement():
    """It waits in `__enter__`."""
    lock = threading.Lock()
    lock.acquire()
    threading.Timer(0.03, lock.release).start()
    owner, name = seen(enters, lock)
    assert (owner is lock, name) == (True, "__enter__")


def test_others_that_wait():
    """A module's function by name, a socket."""
    assert seen(selects) == (select, "select")
    here, there = socket.socketpair()
    with here, there:
        here.settimeout(0.02)
        with pytest.raises(TimeoutError):
            seen(receives, here)


def at_call(source, **names):
    """Return what `callee` says at the call of `probe` within `source`."""
    said = []

    def probe(*_args, **_kwargs):
        said.append(callee(probing(__import__("sys")._getframe(1))))

    def probing(frame):
        return frame

    names["probe"] = probe
    exec(source, names)
    return said[0]


@pytest.mark.parametrize(
    "source",
    [
        "(probe if probe else None)(1)",
        "[probe][0](1)",
        "probe(1 if probe else 2)",
        "(lambda: probe)()(1)",
    ],
)
def test_what_is_not_a_plain_chain_is_unknown(source):
    """Unknown is no."""
    assert at_call(source) is None


def test_a_property_is_not_run():
    """The chain ends there."""
    assert at_call("probe.attribute = 1\nprobe(holder)", holder=holder) is None

    def reads(lock=None):
        return callee(__import__("sys")._getframe())

    assert reads() is None


def test_every_entry_of_the_lists_exists():
    """A list by names rots when something is renamed."""
    import importlib
    import multiprocessing.synchronize
    import sys

    kinds = {
        "_thread.lock": type(threading.Lock()),
        "_thread.RLock": type(threading.RLock()),
        "_queue.SimpleQueue": queue.SimpleQueue,
        "_socket.socket": socket.socket,
        "select.epoll": getattr(select, "epoll", None),
        "select.poll": type(select.poll()),
        "_multiprocessing.SemLock": multiprocessing.synchronize._multiprocessing.SemLock,
    }
    for home, names in WAITS.items():
        owner = kinds[home] if home in kinds else importlib.import_module(home)
        if owner is None:
            continue
        assert any(hasattr(owner, name) for name in names), home
        assert home not in kinds or any(f"{one.__module__}.{one.__qualname__}" == home for one in owner.__mro__), home
    for name in THREADED:
        assert name in sys.stdlib_module_names, name
