"""Perfetto's own format: protobuf, for https://ui.perfetto.dev and for SQL by the trace processor.

The messages are those of the `perfetto` package, which Perfetto's developers publish: an encoder of our own would be
shorter than this file, and would not know when a field's number changes.

A row is a track. Those of one loop stand under a track of the loop, and its Gs under one more. That a G made another
runnable is a mark on its track, from which the flow goes out.

Context: any thread. The only file that imports perfetto, which is optional.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, Final

from preemptio._errors import UnsupportedError
from preemptio._observe._trace._file import Trace
from preemptio._observe._trace._timeline import KINDS, Mark, Span, Timeline, Track, nested

SEQUENCE: Final = 1
"""All packets are of one writer."""


def to_perfetto(trace: Trace) -> Iterator[bytes]:
    """Yield the parts of a protobuf file, by time.

    Raises:
        UnsupportedError: the package is not installed.
    """
    try:
        from perfetto.trace_builder.proto_builder import StreamingTraceProtoBuilder
    except ImportError as why:
        raise UnsupportedError(
            f"Perfetto's format needs its package, which cannot be imported ({why}). Type: pip install "
            "'preemptio[perfetto]', or write FILE.json, which https://ui.perfetto.dev reads as well"
        ) from None
    return _Writer(Timeline(trace), StreamingTraceProtoBuilder).parts()


class _Writer:
    """Makes packets."""

    def __init__(self, timeline: Timeline, builder: Any) -> None:
        self._timeline = timeline
        self._file = io.BytesIO()
        self._builder = builder(self._file)
        self._uuids: dict[object, int] = {}

    def parts(self) -> Iterator[bytes]:
        self._begin()
        yield self._taken()
        for event in sorted(self._events(), key=lambda event: event[0]):  # stable: each track's order is kept
            self._write(*event)
            if self._file.tell() > 1 << 16:
                yield self._taken()
        yield self._taken()

    def _taken(self) -> bytes:
        part = self._file.getvalue()
        self._file.seek(0)
        self._file.truncate()
        return part

    def _uuid(self, of: object) -> int:
        return self._uuids.setdefault(of, len(self._uuids) + 1)

    def _packet(self) -> Any:
        packet = self._builder.create_packet()
        packet.trusted_packet_sequence_id = SEQUENCE
        return packet

    def _begin(self) -> None:
        """Say what the clocks showed, and which tracks there are."""
        trace = self._timeline.trace
        packet = self._packet()
        if trace.streams:
            snapshot = packet.clock_snapshot
            for clock, t in ((6, trace.streams[0].ended), (1, trace.streams[0].wall)):  # BOOTTIME, REALTIME
                snapshot.clocks.add(clock_id=clock, timestamp=t)
        packet.first_packet_on_sequence = True
        packet.sequence_flags = 1  # SEQ_INCREMENTAL_STATE_CLEARED
        self._builder.write_packet(packet)
        process = self._describe("process", None, "")
        process.track_descriptor.process.pid = trace.pid
        process.track_descriptor.process.process_name = "preemptio"
        self._builder.write_packet(process)
        for number, stream in enumerate(trace.streams):
            self._builder.write_packet(self._describe(("loop", number), "process", stream.loop, number))
            self._builder.write_packet(self._describe(("gs", number), ("loop", number), "Gs", len(KINDS)))
        for rank, track in enumerate(self._timeline.tracks()):
            parent = ("loop" if KINDS.index(track.kind) <= 3 else "gs", track.stream)
            packet = self._describe(track, parent, self._timeline.title(track), rank)
            self._builder.write_packet(packet)

    def _describe(self, of: object, parent: object, name: str, rank: int = 0) -> Any:
        packet = self._packet()
        descriptor = packet.track_descriptor
        descriptor.uuid = self._uuid(of)
        if parent is not None:
            descriptor.parent_uuid = self._uuid(parent)
            descriptor.name = name
            descriptor.sibling_order_rank = rank
        descriptor.child_ordering = descriptor.EXPLICIT
        return packet

    def _events(self) -> Iterator[tuple[int, str, Track, Span | Mark, int]]:
        """Yield time, phase, track, what, and the number of its flow."""
        starts: dict[tuple[Track, int], int] = {}
        readied: dict[Track, list[Mark]] = {}
        flows: dict[int, int] = {}
        for number, flow in enumerate(self._timeline.flows, 1):
            target = self._timeline.g_title(flow.target.stream, flow.target.number)
            mark = Mark(flow.t, f"ready {target}", "ready")
            readied.setdefault(flow.source, []).append(mark)
            flows[id(mark)] = number
            starts[flow.target, flow.until] = number
        for track in self._timeline.tracks():
            marks = [*self._timeline.marks.get(track, ()), *readied.get(track, ())]
            for t, phase, item in nested(self._timeline.spans.get(track, ()), marks):
                number = flows.get(id(item), 0)
                if phase == "B" and item.category == "running":
                    number = starts.get((track, t), 0)
                yield t, phase, track, item, number

    def _write(self, t: int, phase: str, track: Track, item: Span | Mark, flow: int) -> None:
        packet = self._packet()
        packet.timestamp = t
        event = packet.track_event
        event.track_uuid = self._uuid(track)
        if phase == "E":
            event.type = event.TYPE_SLICE_END
        else:
            event.type = event.TYPE_SLICE_BEGIN if phase == "B" else event.TYPE_INSTANT
            event.name = item.name
            event.categories.append(item.category)
            for name, value in item.args.items():
                note = event.debug_annotations.add(name=name)
                if isinstance(value, int):
                    note.int_value = value
                else:
                    note.string_value = value
            if flow:
                (event.flow_ids if phase == "I" else event.terminating_flow_ids).append(flow)
        self._builder.write_packet(packet)
