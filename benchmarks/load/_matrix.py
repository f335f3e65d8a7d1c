"""Which scenes are played by which peers: all by all, or the part that answers most in minutes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from benchmarks._harness import Options
from benchmarks.load._hogs import JOB_CHUNKS, KINDS
from benchmarks.load._peers import SLICES_MS, ours, peers
from benchmarks.load._scene import Scene, arrivals

HOGS = (0, 1, 8, 64, 512)
PROBES = ("sleep", "echo")
USUAL = ("calls", 8, 5.0)
"""What a part of the matrix is cut at: the kind, the hogs and the slice."""


@dataclasses.dataclass(frozen=True)
class Group:
    """One scene, and who plays it in turns."""

    probe: str
    hogs: int
    kind: str
    peers: Sequence[str]

    @property
    def name(self) -> str:
        """What its rows are called."""
        return f"{self.probe}, {self.hogs} hogs" + (f", {self.kind}" if self.hogs else "")


def groups(opt: Options) -> Iterator[Group]:
    """Return the groups, the most telling first: an interrupted run has those."""
    everybody = list(peers(opt.loops))
    if opt.quick:
        yield from _few(opt, everybody)
        return
    kind, hogs, _ = USUAL
    every = [(p, h, k) for h in HOGS for k in KINDS for p in PROBES if h or k == kind]
    for cell in sorted(every, key=lambda cell: (cell[2] != kind, cell[1] != hogs)):
        yield Group(*cell, everybody)


def _few(opt: Options, everybody: list[str]) -> Iterator[Group]:
    """Cut the matrix along each axis."""
    kind, hogs, usual = USUAL
    slices = [ours(opt.loops[0], ms) for ms in SLICES_MS]
    one_slice = [ours(loop, usual) for loop in opt.loops]
    yield Group("sleep", hogs, kind, everybody)
    others = [name for name in everybody if not name.startswith("preemptio")]
    yield Group("echo", hogs, kind, one_slice + others)
    for other in HOGS:
        if other != hogs:
            stock = opt.loops[:1] if other < 512 else ()  # a turn of 512 jobs takes ten seconds
            yield Group("sleep", other, kind, [*slices, *stock])
    for other_kind in KINDS:
        if other_kind != kind:
            yield Group("sleep", hogs, other_kind, [*one_slice, *opt.loops[:1]])


def scene(group: Group, opt: Options, counts: Mapping[str, int]) -> Scene:
    """Return what a group's peers are to play."""
    due = arrivals(opt.scale(1000, 500), opt.scale(4.0, 2.0), seed=group.hogs)
    return Scene(group.probe, group.hogs, group.kind, counts[group.kind], JOB_CHUNKS, due)
