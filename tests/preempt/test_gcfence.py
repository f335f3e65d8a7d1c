"""The GC fence: closed while the collector runs, and not to be lost."""

import gc
from concurrent.futures import ThreadPoolExecutor

import pytest

from preemptio._preempt._gcfence import FENCE, GCFence


@pytest.fixture
def fence(monkeypatch):
    monkeypatch.setattr(gc, "callbacks", gc.callbacks)  # the list is the collector's own: only its content may change
    before = list(gc.callbacks)
    fence = GCFence()
    fence.install()
    yield fence
    gc.callbacks[:] = before


class Cycle:
    """Garbage that says in its finalizer what the fence says."""

    def __init__(self, fence, said):
        self.me, self.fence, self.said = self, fence, said

    def __del__(self):
        self.said.append(self.fence.closed())


def collect_a_cycle(fence):
    said = []
    Cycle(fence, said)
    gc.collect()
    return said


class TestClosed:
    """closed."""

    def test_open_outside_a_collection(self, fence):
        """Before and after one, and in a finalizer that only a reference count runs."""
        said = []
        cycle = Cycle(fence, said)
        cycle.me = None
        del cycle
        assert said == [False]
        assert not fence.closed()
        gc.collect()
        assert not fence.closed()

    def test_a_peek_leaves_a_lost_fence_lost(self, fence):
        """Closed, as it is to a tick; but the tick has to find it so itself."""
        gc.callbacks.remove(fence._on_gc)
        assert fence.closed(peek=True)
        assert fence._on_gc not in gc.callbacks
        assert fence.closed()
        assert not fence.closed(peek=True)

    def test_open_while_another_thread_collects(self, fence):
        """Its lists are on its own stack. A peek is about any thread."""
        said = []

        class Looks:
            def __init__(self):
                self.me = self

            def __del__(self):
                with ThreadPoolExecutor(1) as pool:
                    said.append(pool.submit(lambda: (fence.closed(), fence.closed(peek=True))).result())
                    said.append((fence.closed(), fence.closed(peek=True)))

        Looks()
        gc.collect()
        assert said == [(False, True), (True, True)]

    def test_closed_in_a_finalizer_of_a_collection(self, fence):
        """The collector's lists are on the C stack then."""
        assert collect_a_cycle(fence) == [True]
        assert not fence.closed()

    def test_closed_in_an_automatic_collection(self, fence):
        """Not only in gc.collect()."""
        said = []
        threshold = gc.get_threshold()
        gc.set_threshold(10, 1, 1)
        try:
            Cycle(fence, said)
            kept = []
            while not said and len(kept) < 100_000:
                kept.append([])
        finally:
            gc.set_threshold(*threshold)
        assert said == [True]


class TestTornDown:
    """Somebody cleared gc.callbacks."""

    def test_is_put_back_and_says_closed_once(self, fence):
        """A fence that was not there cannot know: the first answer is the careful one."""
        del gc.callbacks[:]
        assert [fence.closed(), fence.closed()] == [True, False]
        assert collect_a_cycle(fence) == [True]

    def test_forgets_the_collection_during_which_it_was_torn_down(self, fence):
        """It would be closed for ever, for it has missed the end."""

        def clear(phase, _info):
            if phase == "start":
                gc.callbacks.remove(fence._on_gc)

        gc.callbacks.append(clear)
        gc.collect()
        gc.callbacks.remove(clear)
        assert [fence.closed(), fence.closed()] == [True, False]


class TestUsers:
    """install and remove."""

    def test_one_callback_for_all(self, fence):
        """Every processor asks for it; it is there once, until the last has gone."""
        fence.install()
        assert gc.callbacks.count(fence._on_gc) == 1
        fence.remove()
        assert collect_a_cycle(fence) == [True]
        fence.remove()
        assert fence._on_gc not in gc.callbacks

    def test_stands_first(self, fence):
        """Other people's callbacks run Python code: the fence is closed before they begin."""
        said = []
        other = lambda phase, _info: said.append((phase, fence.closed()))  # noqa: E731 - a callback
        gc.callbacks.append(other)
        gc.collect()
        gc.callbacks.remove(other)
        assert ("start", True) in said

    def test_nobody_watches_while_no_loop_runs(self):
        """The process's own fence is not installed by importing the library."""
        assert FENCE._on_gc not in gc.callbacks
