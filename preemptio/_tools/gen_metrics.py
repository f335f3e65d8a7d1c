"""Write docs/metrics.md from the table of metrics, so that the page cannot say anything else than the program.

Usage:
    python -m preemptio._tools.gen_metrics           write the page
    python -m preemptio._tools.gen_metrics --check   exit 1 when the page on disk is not what would be written
"""

import sys
from collections.abc import Iterator, Sequence

from preemptio._observe._table import METRICS
from preemptio._tools._page import DOCS, write_or_check

PAGE = DOCS / "metrics.md"
COMMAND = "python -m preemptio._tools.gen_metrics"

HEAD = f"""\
# Metrics

<!-- Written by `{COMMAND}` from preemptio/_observe/_table.py. Edit the table there, not this page. -->

`runtime.metrics()` returns all of this for one loop, as a frozen record; [how to](howto.md#measure-it) shows how to
read and export it. Times are seconds.

- **free**: counted in any case, since the loop was made. The others are empty until `runtime.enable_metrics()` or
  `PREEMPTIO_METRICS=1`, and count from then on.
- **rule**: which events are in it. A rule does not change; another one would be another metric. What is sampled is
  sampled by count, never by the clock, and no histogram holds two populations: the waits of steps are sampled, those
  of preempted Gs are all recorded, and each has its own. So a histogram's count is that of its samples.
- Histograms are log-linear: eight buckets from one power of two of nanoseconds to the next, so a percentile is right to
  an eighth of itself. Prometheus and OpenTelemetry get one bucket for each power of two, from 1 us to 69 s.
- Every metric has the loop's name besides, as the label `loop`, in OpenTelemetry `preemptio.loop`.

| attribute | type | unit | label | free | meaning | rule |
| --- | --- | --- | --- | --- | --- | --- |"""

NAMES = """\

## Names

| attribute | Prometheus | OpenTelemetry | attribute of the label there |
| --- | --- | --- | --- |"""


def render() -> str:
    """Return the whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield HEAD
    for row in METRICS:
        free = "yes" if row.free else "no"
        yield f"| `{row.name}` | {row.kind} | {row.unit} | {row.label} | {free} | {row.doc} | {row.rule} |"
    yield NAMES
    for row in METRICS:
        if row.otel:
            label = f"`{row.otel_label}`" if row.otel_label else ""
            yield f"| `{row.name}` | `{row.prometheus}` | `{row.otel}` | {label} |"
        else:
            yield f"| `{row.name}` | not exported: its labels are without bound | | |"


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the page; return the exit status."""
    return write_or_check(PAGE, COMMAND, render(), argv)


if __name__ == "__main__":
    sys.exit(main())
