"""The load benchmark leaves no sample out, counts from the intended time, and plays one scene with every peer."""

import itertools
import random
import socket
import threading

import pytest

from benchmarks._harness import Options
from benchmarks.load import _client, _hogs, _matrix, _peers, _run, _samples, _scene

PEERS = _peers.peers(("asyncio", "uvloop"))


def test_arrivals_are_fixed_beforehand():
    """By the seed: the same for every peer. Their gaps are exponential: mean and spread agree."""
    due = _scene.arrivals(1000, 10, seed=3)
    assert due == _scene.arrivals(1000, 10, seed=3) != _scene.arrivals(1000, 10, seed=4)
    assert due == sorted(due)
    gaps = [b - a for a, b in itertools.pairwise(due)]
    mean = sum(gaps) / len(gaps)
    spread = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(0.001, rel=0.05)
    assert spread == pytest.approx(mean, rel=0.1)


def test_sleeper_counts_what_came_due_while_it_stood_still(monkeypatch):
    """Each from its intended time: one long stop is many late samples, not one."""
    clock = [100.0]
    monkeypatch.setattr(_scene.time, "perf_counter", lambda: clock[0])
    walk = _scene.Walk([0.1, 0.2, 0.3, 0.9])
    assert walk.serve() == pytest.approx(0.1)
    clock[0] += 0.5
    assert walk.serve() == pytest.approx(0.4)
    clock[0] += 0.4
    assert walk.serve() is None
    assert walk.late == pytest.approx([0.4, 0.3, 0.2, 0.0], abs=1e-9)


def test_client_counts_from_the_intended_time():
    """A server that answers nothing until all requests are there does not slow the sender down."""
    due = [0.0, 0.05, 0.1, 0.15]
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        socks = [listener.accept()[0] for _ in range(2)]
        socks[1].sendall(b"!")
        for sock in socks:
            got = b""
            while len(got) < 2 * 8:  # both requests of this connection
                got += sock.recv(64)
        for sock in reversed(socks):
            sock.sendall(b"y" * 16)
        for sock in socks:
            sock.recv(1)
            sock.close()

    server = threading.Thread(target=serve)
    server.start()
    took, _ = _client.drive(listener.getsockname()[1], 2, 8, due, patience=30)
    server.join()
    listener.close()
    assert len(took) == 4
    assert max(took) >= 0.15  # the first one waited for the last one
    assert sorted(took)[2] >= 0.05


def test_histogram_keeps_every_sample_to_three_digits():
    """And comes back from its letters."""
    rng = random.Random(1)
    seconds = [rng.lognormvariate(-6, 2) for _ in range(20_000)]
    samples = _samples.Samples(_samples.Samples.of(seconds).encoded())
    assert samples.count == 20_000
    ordered = sorted(seconds)
    for q in (50, 90, 99, 99.9):
        assert samples.percentile(q) == pytest.approx(ordered[int(20_000 * q / 100)] * 1e3, rel=0.02)
    points = samples.curve()
    assert points[-1][1] == 0
    assert [share for _, share in points] == sorted((share for _, share in points), reverse=True)


@pytest.mark.parametrize(("count", "last"), [(50, "90"), (100, "99"), (1_000, "99.9"), (10_000, "99.99")])
def test_percentiles_are_no_mere_maximum(count, last):
    """One that no sample is above is not shown."""
    assert list(_samples.Samples.of([0.001] * count).percentiles())[-1] == last


def test_matrix_is_whole_and_its_short_form_a_part_of_it():
    """Full: every probe, number, kind and peer. No cell is there twice."""

    def cells(quick):
        return [(g.name, peer) for g in _matrix.groups(Options(quick=quick)) for peer in g.peers]

    full, quick = cells(False), cells(True)
    assert len(set(full)) == len(full) == 2 * (4 * 4 + 1) * len(PEERS)
    assert set(quick) < set(full)
    assert {peer for _, peer in quick} == set(PEERS)
    kinds = {name.rpartition(", ")[2] for name, _ in quick}
    assert kinds >= set(_hogs.KINDS)


@pytest.mark.parametrize("kind", _hogs.KINDS)
def test_job_notes_each_chunk(kind):
    """Of every kind of hog."""
    noted = []
    _hogs.job(kind, 2, 5, lambda: noted.append(1))
    assert len(noted) == 5


SHORT = [0.01, 0.02, 0.03, 0.05]


@pytest.mark.parametrize("probe", _matrix.PROBES)
@pytest.mark.parametrize("name", ["preemptio, asyncio, 5 ms", "thread pool, 0.5 ms switch", "gevent"])
def test_cell_answers_every_arrival(probe, name, monkeypatch):
    """In a process of its own, whatever the peer; the hogs do something meanwhile."""
    monkeypatch.delenv("PREEMPTIO_DEBUG", raising=False)  # under fault injection they would get nothing done
    peer = PEERS[name]
    if why := peer.missing():
        pytest.skip(why)
    scene = _scene.Scene(probe, 2, "calls", 200, 2, SHORT)
    outcome = _run.run_cell(name, peer, scene)
    assert len(outcome.late) == len(SHORT)
    assert min(outcome.late) >= 0
    assert outcome.share > 0


def test_what_is_missing_is_said():
    """With what to type."""
    assert "pip install nowhere" in _peers.Peer("x", needs="nowhere").missing()


def test_go_is_skipped_without_a_toolchain(monkeypatch):
    """With what to type."""
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "golang-go" in PEERS["Go"].missing()
