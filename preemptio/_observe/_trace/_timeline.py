"""Who ran, was ready and waited when: what the records of a trace come to.

Problem. Records are points and slices in the order in which they ended, and the oldest are gone. A viewer wants tracks
of spans that do not overlap, or lie one in the other, and every arrow with two ends.

What we do. The records of a stream are gone through by time, with the state of each G. A state that nobody ended is
cut where the trace was taken, one whose beginning is gone where the trace begins. Both viewers and the summary are made
of the same timeline, so none knows more than another.

Invariants. Spans of one track nest. A flow starts inside a span of its source, and ends where a run of its target
begins.

Context: any thread; takes about 10 us a record.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from preemptio._core._gstatus import DEAD, LEAKED, PREEMPTED, RUNNABLE, SYSCALL, WAITING
from preemptio._observe._trace import _records as records
from preemptio._observe._trace._file import Names, Stream, Trace
from preemptio._observe._trace._records import Record

RUNNING: Final = "running"
STATES: Final = {
    int(RUNNABLE): "runnable",
    int(WAITING): "waiting",
    int(SYSCALL): "syscall",
    int(PREEMPTED): "suspended",
    int(LEAKED): "leaked",
}
ENDS: Final = {int(WAITING): "waits", int(SYSCALL): "syscall", int(RUNNABLE): "yields", int(DEAD): "exits"}


class Track(NamedTuple):
    """A row of the picture. `kind` is one of KINDS; `number` that of a G or carrier, or 0."""

    stream: int
    kind: str
    number: int


KINDS: Final = ("turns", "gc", "pauses", "carrier", "g", "regions", "held")
"""The rows of a loop, in their order."""


@dataclass(slots=True)
class Span:
    """Something that lasts."""

    start: int  # nanoseconds, as in the records
    end: int
    name: str
    category: str
    args: dict[str, str | int] = field(default_factory=dict)


@dataclass(slots=True)
class Mark:
    """Something that happens."""

    t: int
    name: str
    category: str
    args: dict[str, str | int] = field(default_factory=dict)


@dataclass(slots=True)
class Flow:
    """One G made another runnable: from the run of the one to the run of the other."""

    source: Track
    t: int
    target: Track
    until: int


@dataclass(slots=True)
class About:
    """Who a G is."""

    name: str = ""
    site: str = ""


class Timeline:
    """The spans, marks and flows of a trace."""

    def __init__(self, trace: Trace) -> None:
        """Make them."""
        self.trace = trace
        self.spans: dict[Track, list[Span]] = {}
        self.marks: dict[Track, list[Mark]] = {}
        self.flows: list[Flow] = []
        self.gs: dict[tuple[int, int], About] = {}
        for number, stream in enumerate(trace.streams):
            _Reader(self, number, stream).read()
        starts = [span.start for spans in self.spans.values() for span in spans]
        starts += [mark.t for marks in self.marks.values() for mark in marks]
        self.start = min(starts, default=0)

    def tracks(self) -> list[Track]:
        """Return the rows, loop by loop, and within one by kind and number."""
        return sorted({*self.spans, *self.marks}, key=lambda track: (track[0], KINDS.index(track.kind), track.number))

    def title(self, track: Track) -> str:
        """Return what stands beside a row."""
        if track.kind == "carrier":
            return f"carrier {track.number}"
        if track.kind in {"g", "regions", "held"}:
            title = self.g_title(track.stream, track.number)
            return title if track.kind == "g" else f"{title} {track.kind}"
        return {"turns": "turns of the loop", "gc": "garbage collector", "pauses": "pauses"}[track.kind]

    def g_title(self, stream: int, g: int) -> str:
        """Return the number of a G and its name."""
        if not g:
            return "callbacks"
        about = self.gs.get((stream, g))
        return f"G {g} {about.name}" if about is not None and about.name else f"G {g}"


@dataclass(slots=True)
class _State:
    """What a G does, as far as the records have been read."""

    name: str
    since: int
    preempted: str = ""
    by: tuple[int, int] | None = None  # who readied it last, and when
    held: int = 0
    held_since: int = 0
    regions: list[tuple[str, int]] = field(default_factory=list)


class _Reader:
    """Goes through one stream."""

    def __init__(self, timeline: Timeline, number: int, stream: Stream) -> None:
        self.to = timeline
        self.number = number
        self.stream = stream
        self.trace = timeline.trace
        self.states: dict[int, _State] = {}
        self.reasons = {each.g: each.reason for each in stream.standing}
        self.start = stream.began

    def read(self) -> None:
        found = sorted(self.stream.records(), key=lambda pair: pair[0].t)  # stable
        if self.stream.dropped and found:
            self.start = min(record.t for record, _ in found)
        for each in self.stream.standing:
            self.to.gs[self.number, each.g] = About(each.name, each.site)
        for record, names in found:
            if record.g:
                self._meet(record.g, names)
            _READ[record.kind](self, record, names)
        self._finish()

    def _meet(self, g: int, names: Names) -> None:
        name, site = names.gs.get(g, ("", 0))
        about = self.to.gs.setdefault((self.number, g), About())
        if name:
            about.name, about.site = name, names.text(site)

    def _track(self, kind: str, number: int = 0) -> Track:
        return Track(self.number, kind, number)

    def _span(self, kind: str, number: int, span: Span) -> None:
        self.to.spans.setdefault(self._track(kind, number), []).append(span)

    def _mark(self, g: int, mark: Mark) -> None:
        self.to.marks.setdefault(self._track("g", g), []).append(mark)

    def _state(self, g: int) -> _State:
        state = self.states.get(g)
        if state is None:
            state = self.states[g] = _State("", self.start)
        return state

    def _end_state(self, g: int, state: _State, t: int, reason: str = "") -> None:
        """Draw what a G has done until now."""
        if state.name and t > state.since:
            name = state.name
            args: dict[str, str | int] = {}
            if reason and name in {"waiting", "leaked"}:
                name = f"{name}: {reason}"
            if state.name == "runnable" and state.preempted:
                name = f"runnable (preempted: {state.preempted})"
            elif state.name == "runnable" and state.by is not None:
                by = state.by[0]
                args["readied by"] = self.to.g_title(self.number, by) if by else "callback, timer, I/O"
            self._span("g", g, Span(state.since, t, name, state.name, args))

    # -- one for each kind of record --

    def _slice(self, record: Record, names: Names) -> None:
        g, end = record.g, record.t + record.x
        state = self._state(g)
        self._end_state(g, state, record.t)
        if state.by is not None and state.by[0] not in {0, g} and state.by[0] in self.states:
            source = self._track("g", state.by[0])
            self.to.flows.append(Flow(source, state.by[1], self._track("g", g), record.t))
        kind = self.trace.kinds[record.sub - 1] if record.sub else ""
        status = record.status & 0xFFF
        why = f"preempted ({kind})" if kind else ENDS.get(status, "")
        self._run(g, record.number, record.t, end, why)
        state.name, state.since, state.preempted, state.by = STATES.get(status, ""), end, kind, None

    def _run(self, g: int, carrier: int, start: int, end: int, why: str) -> None:
        args: dict[str, str | int] = {"carrier": carrier} if carrier else {}
        if why:
            args["ended"] = why
        self._span("g", g, Span(start, end, RUNNING, RUNNING, args))
        if carrier:
            self._span("carrier", carrier, Span(start, end, self.to.g_title(self.number, g), RUNNING, {"g": g}))

    def _ready(self, record: Record, names: Names) -> None:
        state = self.states.get(record.g)
        if state is None:  # it had waited since before the trace
            state = self._state(record.g)
        if not state.name:
            state.name = "waiting"
        if record.t >= state.since and state.name != "runnable":
            self._end_state(record.g, state, record.t, self.trace.waits[record.sub])
            state.name, state.since, state.preempted = "runnable", record.t, ""
        state.by = record.x, record.t

    def _created(self, record: Record, names: Names) -> None:
        state = self._state(record.g)
        state.name, state.since = "created", record.t
        about = self.to.gs[self.number, record.g]
        about.site = about.site or names.text(record.number)
        if record.x:
            self._mark(record.x, Mark(record.t, f"created G {record.g}", "created", {"at": about.site}))

    def _refused(self, record: Record, names: Names) -> None:
        verdict = self.trace.verdicts[record.sub]
        mark = Mark(record.t, f"not preempted: {verdict}", "refused", {"at": names.text(record.number)})
        self._mark(record.g, mark)

    def _gc(self, record: Record, names: Names) -> None:
        span = Span(record.t, record.t + record.x, f"generation {record.sub}", "gc", {"generation": record.sub})
        self._span("gc", 0, span)

    def _pause(self, record: Record, names: Names) -> None:
        stopping = record.kind == records.STOPPING
        name = "stopping" if stopping else f"the world is stopped: {names.text(record.number)}"
        self._span("pauses", 0, Span(record.t, record.t + record.x, name, "pause"))

    def _turn(self, record: Record, names: Names) -> None:
        self._span("turns", 0, Span(record.t, record.t + record.x, "turn", "turn"))

    def _held(self, record: Record, names: Names) -> None:
        state = self._state(record.g)
        if not state.held:
            state.held_since = record.t
        state.held += 1

    def _released(self, record: Record, names: Names) -> None:
        state = self._state(record.g)
        if state.held == 1:
            self._span("held", record.g, Span(state.held_since, record.t, "suspended", "held"))
        state.held = max(0, state.held - 1)

    def _region(self, record: Record, names: Names) -> None:
        self._state(record.g).regions.append((names.text(record.number), record.t))

    def _region_end(self, record: Record, names: Names) -> None:
        regions, name = self._state(record.g).regions, names.text(record.number)
        if name not in [each for each, _ in regions]:  # its beginning is gone
            regions.clear()
            return
        while regions:
            each, since = regions.pop()
            self._span("regions", record.g, Span(since, record.t, each, "region"))
            if each == name:
                return

    def _log(self, record: Record, names: Names) -> None:
        self._mark(record.g, Mark(record.t, names.text(record.number), "log"))

    def _finish(self) -> None:
        """Cut what has not ended."""
        end = self.stream.ended
        if self.stream.running is not None:
            g, since = self.stream.running
            state = self._state(g)
            if since >= state.since:
                self._end_state(g, state, since)
                self._run(g, 0, since, end, "")
                state.name = ""
        for each in self.stream.standing:
            state = self._state(each.g)
            state.name = state.name or STATES.get(each.status & 0xFFF, "")
        for g, state in self.states.items():
            self._end_state(g, state, end, self.reasons.get(g, ""))
            if state.held:
                self._span("held", g, Span(state.held_since, end, "suspended", "held"))
            for name, since in state.regions:
                self._span("regions", g, Span(since, end, name, "region"))


_READ: Final = {
    records.SLICE: _Reader._slice,
    records.READY: _Reader._ready,
    records.CREATED: _Reader._created,
    records.REFUSED: _Reader._refused,
    records.GC: _Reader._gc,
    records.STOPPING: _Reader._pause,
    records.PAUSE: _Reader._pause,
    records.TURN: _Reader._turn,
    records.HELD: _Reader._held,
    records.RELEASED: _Reader._released,
    records.REGION: _Reader._region,
    records.REGION_END: _Reader._region_end,
    records.LOG: _Reader._log,
}


def nested(spans: Iterable[Span], marks: Iterable[Mark]) -> list[tuple[int, str, Span | Mark]]:
    """Return what begins ("B"), ends ("E") and happens ("I") on one track, in an order in which spans nest."""
    items: list[tuple[int, int, Span | Mark]] = [(span.start, -span.end, span) for span in spans]
    items += [(mark.t, 1, mark) for mark in marks]
    items.sort(key=lambda item: item[:2])
    out: list[tuple[int, str, Span | Mark]] = []
    stack: list[Span] = []
    for start, _, item in items:
        is_span = isinstance(item, Span)
        while stack and (stack[-1].end <= start if is_span else stack[-1].end < start):
            top = stack.pop()
            out.append((top.end, "E", top))
        out.append((start, "B" if is_span else "I", item))
        if isinstance(item, Span):
            if stack:
                item.end = min(item.end, stack[-1].end)
            stack.append(item)
    while stack:
        top = stack.pop()
        out.append((top.end, "E", top))
    return out
