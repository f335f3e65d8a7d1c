"""The walk over the heap, and the marks: everything that can be reached is met, in slices, and nothing is kept."""

import collections
import gc
import time
import types
import weakref

import pytest

from preemptio._scan._graph import CHUNK, Walk, portions, referents
from preemptio._scan._mark import Mark
from preemptio._scan._retained import Colours

NOW = 0.0


class Thing:
    def __init__(self, *refers_to):
        self.refers_to = refers_to


class Slotted:
    __slots__ = ("__weakref__", "refers_to")


def marked(*roots, weak=False):
    mark = Mark(weak=weak)
    mark.hide([globals(), Thing, Slotted])  # else each test walks through all of pytest
    mark.add(roots)
    while not mark.run(NOW):  # a chunk at a time
        pass
    return mark


def closure(thing):
    return lambda: thing


@pytest.mark.parametrize(
    "around",
    [
        lambda thing: [thing],
        lambda thing: {"key": thing},
        lambda thing: {thing: 1},
        lambda thing: (1, (2, thing)),
        lambda thing: {thing},
        lambda thing: collections.deque([thing]),
        Thing,
        closure,
        lambda thing: thing.__init__,
        lambda thing: [*range(10 * CHUNK), thing],
        lambda thing: dict.fromkeys(range(10 * CHUNK)) | {"key": thing},
        lambda thing: {*range(10 * CHUNK), thing},
        lambda thing: type("List", (list,), {})([*range(10 * CHUNK), thing]),
        lambda thing: (each for each in [thing]),
    ],
)
def test_what_is_referred_to_is_met(around):
    """By whatever kind of object; a long container is taken in portions."""
    thing, other = Thing(), Thing()
    mark = marked(around(thing))
    assert mark.met(thing)
    assert not mark.met(other)


def test_an_object_in_an_attribute_of_a_long_list_is_met():
    """A subclass of list may have attributes as well."""

    class Rows(list):
        pass

    rows, thing = Rows(range(10 * CHUNK)), Thing()
    rows.owner = thing
    assert marked(rows).met(thing)


def test_weak_references_lead_on_only_if_asked():
    """For a leak they count, for a size they do not."""
    thing = Thing()
    assert marked([weakref.ref(thing)], weak=True).met(thing)
    assert marked([weakref.proxy(thing)], weak=True).met(thing)
    assert not marked([weakref.ref(thing)]).met(thing)


def test_of_a_module_only_the_dictionary_is_looked_at():
    """`gc.get_referents(_asyncio)` breaks the interpreter on CPython 3.12."""
    module = types.ModuleType("module")
    module.thing = Thing()
    assert marked(module).met(module.thing)
    assert referents(module) == [vars(module)]


def test_what_is_hidden_is_not_walked_through():
    """It is known, and what only it refers to is not met."""
    thing = Thing()
    hidden = [thing]
    mark = Mark()
    mark.hide([hidden])
    mark.add([[hidden]])
    mark.run(time.perf_counter() + 60)
    assert mark.known(hidden)
    assert not mark.met(thing)


def test_no_code_of_the_users_is_run():
    """Not by a metaclass, nor by an attribute."""

    class Meta(type):
        def __hash__(cls):
            raise AssertionError

        def __getattribute__(cls, name):
            raise AssertionError

        def __instancecheck__(cls, thing):
            raise AssertionError

    class Touchy(metaclass=Meta):
        def __getattribute__(self, name):
            raise AssertionError

        def __eq__(self, other):
            raise AssertionError

        def __len__(self):
            raise AssertionError

        __hash__ = None

    thing = Thing()
    touchy = Touchy()
    object.__setattr__(touchy, "thing", thing)
    assert marked([touchy]).met(thing)


@pytest.mark.parametrize("size", [CHUNK, Colours.chunk])
def test_a_slice_ends_in_time_whatever_it_meets(size):
    """Between two looks at the clock there is a chunk of edges, or the referents of a batch, never a long container."""

    class Counting(Walk):
        chunk = size
        most = 0

        def take(self, things):
            self.most = max(self.most, len(things))
            for thing in things:
                kind = self.kind(type(thing))
                if kind is True:
                    self.plain(thing)
                elif kind:
                    kind(thing)

    walk = Counting()
    walk.add([[[None] * 50_000 for _ in range(4)], dict.fromkeys(range(100_000)), tuple(range(100_000))])
    walk.add([set(range(100_000)), collections.deque(range(100_000)), [[None] * 100 for _ in range(100)]])
    slices = 1
    while not walk.run(NOW):
        slices += 1
    assert walk.most <= size
    assert slices > 400


def test_a_container_that_changes_meanwhile_is_walked_all_the_same():
    """The rest of it comes in one piece."""
    last = Thing()
    table = dict.fromkeys(range(10 * CHUNK))
    parts = portions(dict, table)
    seen = list(next(parts))
    table["new"] = last
    seen += [each for part in parts for each in part]
    assert any(each is last for each in seen)


def test_a_walk_keeps_nothing_alive():
    """What was visited may go; what waits to be visited goes with the walk's end."""
    thing = Slotted()
    thing.refers_to = None
    known = weakref.ref(thing)
    mark = marked([thing])
    del thing
    gc.collect()
    assert known() is None
    assert mark.idle
    thing = Slotted()
    known = weakref.ref(thing)
    mark.add([thing])
    del thing
    assert known() is not None
    mark.forget()
    assert known() is None


def test_memory_is_a_fraction_of_what_a_set_of_addresses_takes():
    """A byte per 16 bytes of heap."""
    things = [Thing() for _ in range(100_000)]
    mark = marked(things)
    assert mark.objects > len(things)
    assert sum(map(len, mark.pages.values())) < 30 * mark.objects
