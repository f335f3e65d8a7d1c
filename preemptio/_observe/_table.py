"""The metrics: one table, which the record, both exporters and docs/metrics.md are made from.

Problem. A metric is a promise: alerts stand on its name, and on what is counted. Go changed what one of its histograms
was sampled from (go.dev/issue/79391), and everybody's percentiles moved.

What we do. Each row says its sampling rule, and one histogram has one rule: what is told always and what is sampled by
count are two rows. A rule is never changed; another one is another row, under another name.

`free` rows are counted by the scheduler anyway. The others are measured by an instrument, and empty without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]

EVERY: Final = 256
"""Steps that make one sample."""

TURNS: Final = 16
"""Turns that make one sample."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One row."""

    name: str
    """The attribute of `Metrics`."""
    kind: Kind
    unit: Literal["s", "1"]
    label: str
    """What it is divided by, besides the loop; "" if by nothing."""
    free: bool
    rule: str
    """What is counted: the sampling rule."""
    prometheus: str
    """Its name there; "" if it is not exported, because the values of its label are without bound."""
    otel: str
    otel_label: str
    doc: str


def _row(
    name: str,
    kind: Kind,
    otel: str,
    doc: str,
    rule: str = "all",
    *,
    label: str = "",
    otel_label: str = "",
    seconds: bool = False,
    free: bool = True,
) -> Metric:
    """Make a row, with what follows: its name in Prometheus is that in OpenTelemetry or ours, with the unit behind."""
    seconds = seconds or kind == "histogram"
    stem = otel.replace(".", "_") if seconds else f"preemptio_{name}"
    suffix = ("_seconds" if seconds else "") + ("_total" if kind == "counter" else "")
    prometheus = stem + suffix if otel else ""
    attribute = f"preemptio.{otel_label}" if otel_label else ""
    return Metric(name, kind, "s" if seconds else "1", label, free, rule, prometheus, otel, attribute, doc)


METRICS: Final = (
    _row("steps", "counter", "preemptio.step.count", "steps that were run, and resumptions in the middle of one"),
    _row("created", "counter", "preemptio.task.created", "Gs that came to be"),
    _row(
        "gs",
        "gauge",
        "preemptio.task.count",
        "Gs by status; one that is suspended counts by the status under its scan bit",
        label="status",
        otel_label="task.status",
    ),
    _row("parked", "gauge", "preemptio.task.parked", "Gs that stand off their carrier in the middle of a step"),
    _row(
        "carriers", "gauge", "preemptio.carrier.count", "carriers: one runs, one stands with each parked G, some idle"
    ),
    _row(
        "preemptions",
        "counter",
        "preemptio.preemption.count",
        "times that the CPU was taken from a G, by kind",
        label="kind",
        otel_label="preemption.kind",
    ),
    _row(
        "refusals",
        "counter",
        "preemptio.refusal.count",
        "times that a G which had used its slice could not be stopped, by verdict",
        label="verdict",
        otel_label="refusal.verdict",
    ),
    _row(
        "pauses",
        "counter",
        "preemptio.pause.count",
        "times that the world was stopped, by reason",
        label="reason",
        otel_label="pause.reason",
    ),
    _row(
        "cpu_of",
        "counter",
        "",
        "CPU time of the Gs that are alive and have used any, by id",
        "each tick puts the time since the last one to the account of the G that it meets; a slice that ends by "
        "preemption is exact",
        label="g",
        seconds=True,
    ),
    _row(
        "cpu",
        "counter",
        "preemptio.cpu.time",
        "CPU time of Gs by their label (`runtime.label`), '' for those without one",
        "as `cpu_of`, from when metrics were enabled",
        label="label",
        otel_label="label",
        seconds=True,
        free=False,
    ),
    _row(
        "schedule",
        "histogram",
        "preemptio.schedule.duration",
        "time runnable before running: from when a step is queued until it gets the CPU",
        f"one step in {EVERY} by count; the next wait of its G. Not the wait for a G's first step",
        free=False,
    ),
    _row(
        "run",
        "histogram",
        "preemptio.run.duration",
        "time running before yielding: from when a G gets the CPU until it awaits, is preempted or ends",
        f"one step in {EVERY} by count; all parts of a step that is preempted",
        free=False,
    ),
    _row(
        "preempted",
        "histogram",
        "preemptio.preempted.duration",
        "time that a preempted G waits for the CPU",
        "all; not of a G that was suspended meanwhile",
        free=False,
    ),
    _row(
        "turn",
        "histogram",
        "preemptio.eventloop.turn.duration",
        "time from the end of one poll to the beginning of the next; on uvloop and others: of a batch of steps",
        f"one turn in {TURNS} by count",
        free=False,
    ),
    _row(
        "loop_time",
        "counter",
        "preemptio.eventloop.time",
        "time in turns (`active`) and between them (`idle`); on uvloop and others its own callbacks are in the latter",
        label="state",
        otel_label="eventloop.state",
        seconds=True,
        free=False,
    ),
    _row(
        "suspend",
        "histogram",
        "preemptio.suspend.duration",
        "time from a request to suspend a G until it is held",
        free=False,
    ),
    _row(
        "pause_stopping",
        "histogram",
        "preemptio.pause.stopping.duration",
        "time from the decision to stop the world until the last G stood, by reason",
        label="reason",
        otel_label="pause.reason",
        free=False,
    ),
    _row(
        "pause_total",
        "histogram",
        "preemptio.pause.total.duration",
        "time from the decision to stop the world until it went on, by reason",
        label="reason",
        otel_label="pause.reason",
        free=False,
    ),
)
"""All of them, in the order of docs/metrics.md."""
