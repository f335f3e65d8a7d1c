"""The summary of a trace: who took the time, who waited for what, and who could not be preempted.

Context: any thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from preemptio._observe._trace._file import Trace
from preemptio._observe._trace._timeline import RUNNING, Span, Timeline

MS = 1_000_000


@dataclass
class Totals:
    """One G, in nanoseconds."""

    title: str
    running: int = 0
    runnable: int = 0
    waiting: Counter[str] = field(default_factory=Counter)  # by state and reason
    slices: int = 0
    preemptions: Counter[str] = field(default_factory=Counter)  # by kind
    refused: Counter[str] = field(default_factory=Counter)  # by verdict
    longest: int = 0

    def add(self, span: Span) -> None:
        """Count a span of its track."""
        took = span.end - span.start
        if span.category == RUNNING:
            self.running += took
            self.slices += 1
            self.longest = max(self.longest, took)
            ended = str(span.args.get("ended", ""))
            if ended.startswith("preempted"):
                self.preemptions[ended] += 1
        elif span.category == "runnable":
            self.runnable += took
        elif span.category != "created":
            self.waiting[span.name] += took


def totals(timeline: Timeline) -> list[Totals]:
    """Return one for each G, those that ran longest first."""
    found: dict[tuple[int, int], Totals] = {}
    for track in timeline.tracks():
        if track.kind == "g" and track.number:
            one = found.setdefault((track.stream, track.number), Totals(timeline.title(track)))
            for span in timeline.spans.get(track, ()):
                one.add(span)
            for mark in timeline.marks.get(track, ()):
                if mark.category == "refused":
                    one.refused[mark.name.partition(": ")[2]] += 1
    return sorted(found.values(), key=lambda one: (-one.running, -one.runnable))


def summary(trace: Trace, top: int) -> Iterator[str]:
    """Yield the lines of the summary, with `top` rows a table."""
    timeline = Timeline(trace)
    for stream in trace.streams:
        seconds = (stream.ended - stream.began) / 1e9
        lost = f"; {stream.dropped} older records were dropped" if stream.dropped else ""
        yield f"{stream.loop}, process {trace.pid}: recorded for {seconds:.3f} s{lost}"
    rows = totals(timeline)
    if not rows:
        yield "Nothing was recorded: no task has run."
        return
    yield ""
    yield "   running   runnable    waiting  slices   longest preempted refused  G"
    for one in rows[:top]:
        waiting, preempted, refused = (sum(each.values()) for each in (one.waiting, one.preemptions, one.refused))
        yield (
            f"{_ms(one.running):>10} {_ms(one.runnable):>10} {_ms(waiting):>10} {one.slices:>7} "
            f"{_ms(one.longest):>9} {preempted:>9} {refused:>7}  {one.title}"
        )
    if len(rows) > top:
        yield f"{'':>10} and {len(rows) - top} more Gs, which ran less; type: --top {len(rows)}"
    yield from _table("Preemptions", _sum(one.preemptions for one in rows), top, str)
    yield from _table("Not preempted", _sum(one.refused for one in rows), top, str)
    yield from _table("Waiting, all Gs", _sum(one.waiting for one in rows), top, _ms)
    longest = sorted(((ns, name, one.title) for one in rows for name, ns in one.waiting.items()), reverse=True)
    yield from _table("Waiting longest", {f"{title}  {name}": ns for ns, name, title in longest[:top]}, top, _ms)
    for kind, title in (("gc", "Garbage collector"), ("pauses", "Pauses")):
        spans = [span for track, spans in timeline.spans.items() if track.kind == kind for span in spans]
        spans = [span for span in spans if span.name != "stopping"]
        if spans:
            lengths = [span.end - span.start for span in spans]
            yield ""
            yield f"{title}: {len(spans)} times, {_ms(sum(lengths))} together, {_ms(max(lengths))} the longest"


def _sum(counts: Iterator[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total


def _table(title: str, rows: dict[str, int], top: int, show: object) -> Iterator[str]:
    if rows and callable(show):
        yield ""
        yield f"{title}:"
        for name, value in sorted(rows.items(), key=lambda row: -row[1])[:top]:
            yield f"{show(value):>12}  {name}"


def _ms(nanoseconds: int) -> str:
    return f"{nanoseconds / MS:.2f}ms" if nanoseconds < 10_000 * MS else f"{nanoseconds / 1000 / MS:.1f}s"
