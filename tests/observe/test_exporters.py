"""Exporters: the real packages say what the record says."""

import asyncio
import sys

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import preemptio
from preemptio import runtime
from preemptio._observe._table import EVERY, METRICS, TURNS
from preemptio.lowlevel import Gstatus, current_g
from tests.behaviour._support import turns

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


@pytest.fixture
def registry():
    """A registry with our collector, as an application has one."""
    made = CollectorRegistry(auto_describe=True)
    made.register(runtime.prometheus_collector())
    return made


async def work():
    """Leave something in every row."""
    runtime.enable_metrics(name="main")
    await turns(EVERY * 5)
    for _ in range(TURNS * 2):
        await asyncio.sleep(0.0001)
    with runtime.label("GET /a"):
        asyncio.get_running_loop()._p.charge(asyncio.current_task().g)
    await preemptio.go(lambda: [preemptio.charge(1000) for _ in range(2)])
    await preemptio.go(refused)
    task = asyncio.create_task(asyncio.sleep(60))
    await turns(2)
    async with preemptio.suspended(task.g):
        pass
    async with preemptio.stop_the_world("audit"):
        pass
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def refused():
    """Compute until a tick has found that this must not be stopped."""
    with preemptio.nopreempt("test"):
        while not current_g().refusals:
            pass


async def test_prometheus(registry):
    """Its own parser reads the page; values, labels and histograms are those of the record."""
    await work()
    before = runtime.metrics()
    families = {each.name: each for each in text_string_to_metric_families(generate_latest(registry).decode())}
    for row in METRICS:
        assert (row.prometheus.removesuffix("_total") in families) is bool(row.prometheus)
        if row.prometheus:
            assert families[row.prometheus.removesuffix("_total")].type == row.kind
    mine = {name: [s for s in each.samples if s.labels["loop"] == "main"] for name, each in families.items()}
    assert {s.labels["status"]: s.value for s in mine["preemptio_gs"]}["running"] == before.gs[Gstatus.RUNNING] == 1
    assert [s.value for s in mine["preemptio_created"]] == [before.created]
    (pauses,) = mine["preemptio_pauses"]
    assert (pauses.labels["reason"], pauses.value) == ("audit", 1)
    assert {s.labels["label"] for s in mine["preemptio_cpu_time_seconds"]} >= {"GET /a"}
    run = mine["preemptio_run_duration_seconds"]
    counts = [s.value for s in run if s.name.endswith("_bucket")]
    assert counts == sorted(counts)
    assert [s.value for s in run if s.labels.get("le") == "+Inf"] == [before.run.count]
    assert [s.value for s in run if s.name.endswith("_sum")] == [pytest.approx(before.run.sum)]


async def test_prometheus_from_its_own_server_thread(registry):
    """A scrape is answered in another thread."""
    await work()
    page = await asyncio.to_thread(generate_latest, registry)
    assert b'preemptio_steps_total{loop="main"}' in page


async def test_opentelemetry():
    """The SDK collects every row, and each sampled value once however often it is asked."""
    await work()
    readers = [InMemoryMetricReader(), InMemoryMetricReader()]
    provider = MeterProvider(readers)
    runtime.export_to_otel(provider)
    before = runtime.metrics()
    points = collected(readers[0])
    again = runtime.metrics()
    for row in METRICS:
        assert (row.otel in points) is bool(row.otel), row.name
    assert points["preemptio.task.created"][("main",)].value == before.created == again.created
    assert points["preemptio.pause.count"]["main", "audit"].value == 1
    assert points["preemptio.task.count"]["main", "running"].value == 1
    assert points["preemptio.cpu.time"]["main", "GET /a"].value > 0
    run = points["preemptio.run.duration"][("main",)]
    assert before.run.count <= run.count <= again.run.count
    assert run.sum == pytest.approx(before.run.sum, rel=0.13)
    assert run.explicit_bounds == tuple(bound for bound, _ in before.run.buckets())
    assert points["preemptio.pause.total.duration"]["main", "audit"].count == 1

    await turns(EVERY * 3)
    before = runtime.metrics()
    collected(readers[1])
    points = collected(readers[0])
    assert before.run.count <= points["preemptio.run.duration"][("main",)].count <= runtime.metrics().run.count
    assert points["preemptio.pause.total.duration"]["main", "audit"].count == 1
    provider.shutdown()


def collected(reader):
    """Return the data points of the loop `main` by metric, then by the values of their attributes."""
    found = {}
    for metric in reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics:
        for point in metric.data.data_points:
            if point.attributes["preemptio.loop"] == "main":
                found.setdefault(metric.name, {})[tuple(point.attributes.values())] = point
    return found


async def test_opentelemetry_while_the_loop_runs():
    """The SDK's own thread collects."""
    await work()
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    runtime.export_to_otel(provider)
    points = await asyncio.to_thread(collected, reader)
    assert points["preemptio.schedule.duration"][("main",)].count >= 3
    provider.shutdown()


@pytest.mark.parametrize(
    ("module", "make", "extra"),
    [
        ("prometheus_client.core", runtime.prometheus_collector, r"preemptio\[prometheus\]"),
        ("opentelemetry", runtime.export_to_otel, r"preemptio\[otel\]"),
    ],
)
async def test_a_missing_package_says_what_to_install(monkeypatch, module, make, extra):
    """Both are optional."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(preemptio.UnsupportedError, match=f"pip install.*{extra}"):
        make()
