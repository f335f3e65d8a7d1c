"""The recorder's memory: never more than was given, and always to be understood."""

import random
import tracemalloc

import pytest

from preemptio._observe._trace import _records as records
from preemptio._observe._trace._file import Names
from preemptio._observe._trace._ring import G_NAME, LEAST, LONGEST, RECORD, Ring

SECOND = 1_000_000_000


def write(ring, t, g, name=None):
    """Write a record about a G as the recorder does it."""
    chunk = ring.current
    slot = chunk.take()
    while slot >= chunk.limit:
        chunk = ring.next(chunk, t)
        slot = chunk.take()
    if g not in chunk.known:
        chunk.define(G_NAME, g, chunk.text(("site", g % 7), lambda: f"app.py:{g % 7}"), name or f"G{g}")
    chunk.known[g] = t
    RECORD.pack_into(chunk.cells, slot * RECORD.size, records.READY, 0, 0, 0, g, t, 0)


def contents(ring):
    """Return (t, name, site) of every record, oldest first."""
    found = []
    for cells, raw in ring.chunks():
        names = Names(raw)
        for kind, _, _, _, g, t, _ in RECORD.iter_unpack(cells):
            if kind:
                name, site = names.gs[g]
                found.append((t, name, names.text(site)))
    return found


@pytest.mark.parametrize("tasks", [1, 50, 10**9], ids=["one task", "some", "a new one each time"])
@pytest.mark.parametrize("length", [3, 2000], ids=["short names", "long names"])
def test_the_bound_is_kept(tasks, length):
    """By what the ring says of itself and by what Python has allocated, whatever is recorded."""
    name = "n" * length
    tracemalloc.start()
    try:
        ring = Ring(LEAST, 3600 * SECOND)
        for t in range(1, 12_000):
            write(ring, t, t % tasks, name)
            assert t % 100 or ring.held() <= LEAST
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= LEAST + 4096  # the test's own
    assert ring.dropped
    times = [t for t, _, _ in contents(ring)]
    assert times == list(range(times[0], 12_000))  # the newest, without a gap
    assert len(times) > 300


def test_a_chunk_is_understood_alone():
    """Each record finds the name of its G and the place in its own chunk, and those of a dropped one are gone."""
    ring = Ring(LEAST, 3600 * SECOND)
    for t in range(1, 12_000):
        write(ring, t, t // 100)
    found = contents(ring)
    assert ring.dropped
    assert len(ring.chunks()) > 3
    assert all((name, site) == (f"G{t // 100}", f"app.py:{t // 100 % 7}") for t, name, site in found)
    assert b"G1\x00" not in b"".join(names for _, names in ring.chunks())


def test_what_is_too_old_goes():
    """When room is made for a chunk, the chunks whose newest record is older than asked for are dropped."""
    ring = Ring(LEAST, 1000)
    for t in range(1, 3000):
        write(ring, t, 1)
    assert ring.dropped
    chunk = len(ring.current.cells) // RECORD.size
    assert 3000 - 1000 - 2 * chunk < contents(ring)[0][0] <= 2000
    for t in range(50_000, 51_000 + 2 * chunk):
        write(ring, t, 1)
    assert contents(ring)[0][0] >= 50_000


def test_a_record_in_the_middle_of_a_record():
    """A finalizer or a signal handler that records while a name is made, or a slot is taken, costs neither record."""
    ring = Ring(LEAST, 3600 * SECOND)
    draw = random.Random(7)
    clock = iter(range(1, 10**9)).__next__
    written = []

    def nested(depth):
        t = clock()
        written.append(t)
        chunk = ring.current
        slot = chunk.take()
        if depth and draw.random() < 0.5:
            nested(depth - 1)  # between the slot and its record
        while slot >= chunk.limit:
            chunk = ring.next(chunk, t)
            if depth and draw.random() < 0.5:
                nested(depth - 1)
            slot = chunk.take()
        if t % 97 not in chunk.known:
            if depth:
                nested(depth - 1)  # while the name is made
            chunk.define(G_NAME, t % 97, chunk.text("site", lambda: "app.py"), "n" * 20)
            chunk.known[t % 97] = t
        RECORD.pack_into(chunk.cells, slot * RECORD.size, records.READY, 0, 0, 0, t % 97, t, 0)

    while not ring.dropped:
        nested(3)
    found = {t for t, name, _ in contents(ring) if name == "n" * 20}
    assert len(found) > 1000
    oldest = min(found)
    missing = [t for t in written if t not in found and t > oldest + 100]
    assert missing == []


def test_long_names_are_cut():
    """And one that is no UTF-8 does no harm."""
    ring = Ring(LEAST, SECOND)
    write(ring, 1, 1, "é" * 1000)
    write(ring, 2, 2, "\udcff")
    (_, first, _), (_, second, _) = contents(ring)
    assert first[:240] == "é" * 240
    assert len(first.encode()) <= LONGEST + 2
    assert second == "?"


def test_what_was_written_since_a_mark_is_read_once():
    """Over the ends of chunks; and after a mark that was dropped with its chunk, all that is left."""
    ring, seen, mark = Ring(LEAST, 3600 * SECOND), [], None
    for t in range(1, 3_000):
        write(ring, t, t)
        if not t % 70:
            parts, mark = ring.since(mark)
            seen += [record[5] for part in parts for record in RECORD.iter_unpack(part)]
    assert seen == list(range(1, seen[-1] + 1))
    for t in range(3_000, 20_000):
        write(ring, t, t)
    parts, mark = ring.since(mark)
    left = [record[5] for part in parts for record in RECORD.iter_unpack(part)]
    assert left == [t for t, _, _ in contents(ring)]
    assert ring.since(mark) == ([b""], mark)
