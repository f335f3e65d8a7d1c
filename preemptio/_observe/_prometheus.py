"""Metrics for prometheus_client, which is optional: a collector that reads all loops when it is scraped.

Nothing is done in between, and nothing is kept twice. Histograms get a bucket per power of two of nanoseconds, since
every bucket is a series of its own there.

Context: `collect` in whichever thread the scrape is answered in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from preemptio._errors import UnsupportedError
from preemptio._observe._metrics import all_metrics
from preemptio._observe._table import METRICS

if TYPE_CHECKING:
    from prometheus_client.registry import Collector


def prometheus_collector() -> Collector:
    """Make a collector of the metrics of all loops, with the loop's name as the label `loop`.

    Returns:
        An object for `prometheus_client.REGISTRY.register(...)`. Enable metrics for the rows that are sampled.

    Raises:
        UnsupportedError: prometheus_client is not installed.

    Context: any thread. A scrape reads the loops from the thread that answers it.

    Example:
        >>> import preemptio
        >>> from preemptio import runtime
        >>> from prometheus_client import CollectorRegistry, generate_latest
        >>> async def main():
        ...     runtime.enable_metrics()
        ...     registry = CollectorRegistry()
        ...     registry.register(runtime.prometheus_collector())
        ...     return b"preemptio_steps_total" in generate_latest(registry)
        >>> preemptio.run(main())
        True
    """
    try:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
        from prometheus_client.registry import Collector
    except ImportError as exc:
        msg = "prometheus_collector() needs prometheus_client; type: pip install 'preemptio[prometheus]'"
        raise UnsupportedError(msg) from exc
    families = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}

    class PreemptioCollector(Collector):
        """Reads the metrics of every loop of preemptio."""

        def collect(self) -> Iterator[Any]:
            """Read all loops once."""
            records = all_metrics()
            for row in METRICS:
                if not row.prometheus:
                    continue
                labels = ["loop", row.label] if row.label else ["loop"]
                family: Any = families[row.kind](row.prometheus.removesuffix("_total"), row.doc, labels=labels)
                for record in records:
                    if not row.free and not record.enabled:
                        continue
                    for label, value in record.values(row):
                        names = [record.loop, label] if row.label else [record.loop]
                        if row.kind == "histogram":
                            buckets = [(repr(bound), below) for bound, below in value.buckets()]
                            family.add_metric(names, [*buckets, ("+Inf", value.count)], sum_value=value.sum)
                        else:
                            family.add_metric(names, value)
                yield family

        def describe(self) -> list[Any]:
            """Have the registry not scrape in order to learn the names."""
            return []

    return PreemptioCollector()
