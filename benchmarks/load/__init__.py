"""How late timers and requests are beside CPU-bound work, here and with the usual advice, with other loops and in Go.

Problem: a client that sends its next request when the last was answered sends fewest just while the service stands
still, and so hides what it was to measure (coordinated omission).
What does not work: a ticker that counts its own wake-ups; a load generator that waits; a mean.
What we do: the arrivals' times are fixed beforehand (Poisson, seeded, the same for every peer), and each counts from
the time at which it was *intended*, also if the loop, or the sender, got to it a second later. Every sample is kept in
an HdrHistogram. Beside the lateness stands what the hogs got done: a peer that answers at once and computes nothing has
not won.
The peers run the same program (`_asyncio.py`, `_trio.py`, `_gevent.py`, `peers/load.go`), each in a process of its own,
one after the other within a round, in the opposite order in the next. A hog computes 20 ms at a time and lets others
run between jobs, as one task after another does: on a loop that nothing preempts, a hog that never ended would be all.

No promise is made here: `latency` has those. The full matrix takes some six hours; it goes on where it was interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks._harness import Options, Promise, Row, Skipped
from benchmarks._stats import median_of
from benchmarks.load import _hogs, _matrix, _peers, _run, _samples

PROMISES: tuple[Promise, ...] = ()
KEEPS_ROWS = True


def run(opt: Options) -> Iterator[Row | Skipped]:
    """Measure each group of cells, all its peers in turns."""
    if not _samples.is_usable():
        yield Skipped("everything", "HdrHistogram is not installed. Type: pip install 'preemptio[bench]'")
        return
    usable = {}
    for name, peer in _peers.peers(opt.loops).items():
        if why := peer.missing():
            yield Skipped(name, why)
        else:
            usable[name] = peer
    rounds = min(opt.rounds, 3) if opt.quick else opt.rounds
    counts = {kind: _hogs.calibrate(kind) for kind in _hogs.KINDS}
    for group in _matrix.groups(opt):
        wanted = [name for name in group.peers if name in usable and (group.name, name) not in opt.have]
        scene = _matrix.scene(group, opt, counts)
        if wanted:
            print(f"  {group.name}: {len(wanted)} peers in {rounds} rounds ...", flush=True)
        got: dict[str, list[_run.Outcome]] = {name: [] for name in wanted}
        for turn in range(rounds):
            for name in wanted if turn % 2 == 0 else reversed(wanted):
                got[name].append(_run.run_cell(name, usable[name], scene))
        for name in wanted:
            yield row(group, name, usable[name], got[name])


def row(group: _matrix.Group, name: str, peer: _peers.Peer, outcomes: list[_run.Outcome]) -> Row:
    """Take the rounds' 99th percentiles, and everything else of all rounds together."""
    samples = _samples.Samples.of(late for outcome in outcomes for late in outcome.late)
    p99 = median_of([_samples.Samples.of(outcome.late).percentile(99) for outcome in outcomes])
    hogs = median_of([outcome.share for outcome in outcomes])
    at = samples.percentiles()
    figures = ", ".join(f"p{q} {ms:.2f}" for q, ms in at.items() if q != "99")
    note = f"{figures}, max {samples.longest():.2f} of {samples.count}; hogs have {hogs:.0%} of its CPU time"
    data = {
        "probe": group.probe,
        "hogs": group.hogs,
        "kind": group.kind,
        "peer": name,
        "family": peer.family,
        "slice_ms": peer.slice_ms,
        "percentiles": at,
        "max": samples.longest(),
        "count": samples.count,
        "share": [float(hogs), hogs.low, hogs.high],
        "speed": median_of([outcome.speed for outcome in outcomes]),
        "cpus": median_of([outcome.cpus for outcome in outcomes]),
        "sender_late_p99": median_of([outcome.sender_late for outcome in outcomes]),
        "hdr": samples.encoded(),
    }
    return Row(group.name, name, p99, note, "ms p99", data)
