"""Chrome's trace-event format, as JSON: for chrome://tracing, https://ui.perfetto.dev and Speedscope.

A loop is two processes of the picture: its carriers, with the turns, the collector and the pauses, and its Gs. A row is
a thread. Spans are complete events ("X"), which cannot be unbalanced.

Source: "Trace Event Format", the Chromium project.

Context: any thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from preemptio._observe._trace._file import Trace
from preemptio._observe._trace._timeline import KINDS, Mark, Span, Timeline, Track, nested

COLORS: Final = {
    "running": "thread_state_running",
    "runnable": "thread_state_runnable",
    "waiting": "thread_state_sleeping",
    "syscall": "thread_state_iowait",
}
"""The names that the viewer has for these states' colors."""


def to_chrome(trace: Trace) -> Iterator[bytes]:
    """Yield the parts of a JSON file."""
    timeline = Timeline(trace)
    yield b'{"displayTimeUnit": "ns", "otherData": '
    yield json.dumps({"python": trace.python, "pid": trace.pid}).encode()
    yield b', "traceEvents": [\n'
    first = True
    for event in _events(timeline):
        yield (b"" if first else b",\n") + json.dumps(event).encode()
        first = False
    yield b"\n]}\n"


def _events(timeline: Timeline) -> Iterator[dict[str, Any]]:
    """Yield the names of processes and threads, and then what happens, by time."""
    tracks = timeline.tracks()
    ids = {track: (track.stream * 2 + 1 + (KINDS.index(track.kind) > 3), n) for n, track in enumerate(tracks, 1)}
    for number, stream in enumerate(timeline.trace.streams):
        for pid, what in ((number * 2 + 1, "carriers"), (number * 2 + 2, "Gs")):
            yield _name("process_name", pid, 0, name=f"{stream.loop}: {what}")
            yield _name("process_sort_index", pid, 0, sort_index=pid)
    for track in tracks:
        pid, tid = ids[track]
        yield _name("thread_name", pid, tid, name=timeline.title(track))
        yield _name("thread_sort_index", pid, tid, sort_index=tid)
    events = [event for track in tracks for event in _row(timeline, track, *ids[track])]
    for number, flow in enumerate(timeline.flows, 1):
        about = {"cat": "ready", "name": "ready", "id": number}
        for track, t, more in ((flow.source, flow.t, {"ph": "s"}), (flow.target, flow.until, {"ph": "f", "bp": "e"})):
            pid, tid = ids[track]
            events.append({"ts": _us(timeline, t), "pid": pid, "tid": tid, **about, **more})
    events.sort(key=lambda event: event["ts"])
    yield from events


def _row(timeline: Timeline, track: Track, pid: int, tid: int) -> Iterator[dict[str, Any]]:
    for _, phase, item in nested(timeline.spans.get(track, ()), timeline.marks.get(track, ())):
        event = {"name": item.name, "cat": item.category, "pid": pid, "tid": tid, "args": item.args}
        if isinstance(item, Mark):
            yield {**event, "ph": "i", "s": "t", "ts": _us(timeline, item.t)}
        elif phase == "B":
            yield {**event, "ph": "X", "ts": _us(timeline, item.start), "dur": _duration(item), **_color(item)}


def _color(span: Span) -> dict[str, str]:
    return {"cname": COLORS[span.category]} if span.category in COLORS else {}


def _us(timeline: Timeline, t: int) -> float:
    """Return microseconds since the trace began."""
    return (t - timeline.start) / 1000


def _duration(span: Span) -> float:
    return (span.end - span.start) / 1000


def _name(what: str, pid: int, tid: int, **args: Any) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "ts": 0, "args": args}
