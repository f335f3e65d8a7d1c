"""Metrics: each row counts what its rule says, and no population is mixed with another."""

import asyncio
import dataclasses
import threading
import time

import pytest

import preemptio
from preemptio import runtime
from preemptio._observe._label import LABELS, OTHER
from preemptio._observe._metrics import Metrics
from preemptio._observe._table import EVERY, METRICS, TURNS
from preemptio._tools import gen_metrics
from preemptio.lowlevel import Gstatus, PreemptKind, Verdict, current_g
from tests.behaviour._support import Flag, parked, spin, turns

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


async def test_the_record_is_the_table():
    """A row for each attribute, and an attribute for each row; labels where the row has one."""
    names = [each.name for each in dataclasses.fields(Metrics)]
    assert names[:3] == ["loop", "at", "since"]
    assert sorted(names[3:]) == sorted(row.name for row in METRICS)
    runtime.enable_metrics()
    now = runtime.metrics()
    for row in METRICS:
        value = getattr(now, row.name)
        assert hasattr(value, "items") is bool(row.label)
        if not row.label:
            assert isinstance(value, runtime.Histogram) is (row.kind == "histogram")
    with pytest.raises(dataclasses.FrozenInstanceError):
        now.steps = 0


async def test_the_page_is_the_table():
    """docs/metrics.md is written from it."""
    page = gen_metrics.PAGE.read_text(encoding="utf-8")
    assert page == gen_metrics.render(), f"Type: {gen_metrics.COMMAND}"
    for row in METRICS:
        assert page.count(f"| `{row.name}` |") == 2


async def test_the_names_are_unique():
    """No two rows are one metric elsewhere, and every name says what it is of."""
    for names in ([row.prometheus for row in METRICS], [row.otel for row in METRICS]):
        assert len(set(names)) == len(names)
        assert all(not name or name.startswith("preemptio") for name in names)


async def test_without_a_meter_what_is_sampled_is_empty():
    """And says so; what is counted is there."""
    before = runtime.metrics()
    assert not before.enabled
    await asyncio.gather(*(asyncio.sleep(0) for _ in range(200)))
    since = runtime.metrics() - before
    assert since.steps >= 400
    assert since.created == 200
    for row in METRICS:
        if not row.free:
            value = getattr(since, row.name)
            assert not value if row.label else value.count == 0


async def test_steps_are_sampled_by_count():
    """Of N steps N / 64 are measured, and as many waits for the CPU, whatever they take."""
    runtime.enable_metrics()
    before = runtime.metrics()
    slow = time.monotonic()

    async def steps(n):
        for i in range(n):
            if not i % 100:
                while time.monotonic() < slow + i * 1e-5:
                    pass
            await asyncio.sleep(0)

    await asyncio.gather(*(steps(EVERY * 20) for _ in range(3)))
    since = runtime.metrics() - before
    ends = since.preempted.count  # a part of a step that was preempted is one more
    assert since.steps // EVERY - 1 <= since.run.count <= since.steps // EVERY + 1 + ends
    assert since.run.count - ends - 4 <= since.schedule.count <= since.run.count + 1
    assert 0 < since.schedule.percentile(0.5) <= since.schedule.percentile(0.99)


async def test_the_time_running():
    """Is that of the sampled step, not of those between."""
    runtime.enable_metrics()
    p = asyncio.get_running_loop()._p
    before = runtime.metrics()
    while p.watch_at != p.schedtick + 1:
        await asyncio.sleep(0)
    await asyncio.sleep(0)  # the next step, this one, is a sample: it ends at the next await
    with preemptio.nopreempt("test"):
        start = time.perf_counter()
        while time.perf_counter() < start + 0.02:
            pass
    await turns(2)
    since = runtime.metrics() - before
    assert since.run.percentile(1) >= 0.0175
    assert sum(seconds >= 0.0175 for seconds, _ in since.run.each()) == 1


async def test_every_wait_of_a_preempted_g_is_in_a_histogram_of_its_own():
    """One for each time that it goes on again; and waits of steps are not among them."""
    runtime.enable_metrics()
    before = runtime.metrics()
    with Flag() as flag:
        hogs = [preemptio.go(spin, flag) for _ in range(3)]
        await parked(*hogs)
        await parked(*hogs)
    await asyncio.gather(*hogs)
    since = runtime.metrics() - before
    assert since.preempted.count == sum(since.preemptions.values()) >= 3
    assert since.preemptions.keys() <= {PreemptKind.ASYNC, PreemptKind.SEEK}
    assert since.preempted.percentile(1) > 0


async def test_a_preempted_g_that_was_suspended_is_left_out():
    """It did not wait for the CPU all that time."""
    runtime.enable_metrics()
    before = runtime.metrics()
    with Flag() as flag:
        hog = preemptio.go(spin, flag)
        await parked(hog)
        async with preemptio.suspended(hog.g):
            assert runtime.metrics().suspend.count == 1
    await hog
    now = runtime.metrics() - before
    assert now.preempted.count == sum(now.preemptions.values()) - 1


async def test_preemptions_at_checkpoints_are_counted():
    """Of every kind, on the loop."""
    before = runtime.metrics()

    def polite():
        for _ in range(50):
            preemptio.charge(1000)

    await preemptio.go(polite)
    assert (runtime.metrics() - before).preemptions[PreemptKind.SYNC] >= 50


async def test_refusals_are_counted():
    """By verdict, and the CPU that a refused step uses is its own."""
    before = runtime.metrics()
    runtime.enable_metrics()

    def masked():
        with preemptio.nopreempt("test"), runtime.label("masked"):
            start = time.thread_time()
            while time.thread_time() < start + 0.05:
                pass

    task = preemptio.go(masked)
    await task
    await preemptio.go(spin_for, 0.02)
    since = runtime.metrics() - before
    assert since.refusals[Verdict.MASKED] >= 1
    assert 0.02 <= task.g.cpu_time <= 0.08


def spin_for(seconds):
    """Use this much CPU."""
    start = time.thread_time()
    while time.thread_time() < start + seconds:
        pass


@pytest.mark.uninjected("what a task costs by the clock")
async def test_cpu_by_label():
    """A label covers the rest of its block, and tasks that are started in it; other tasks have none."""
    runtime.enable_metrics()
    before = runtime.metrics()

    async def handler(name, seconds):
        with runtime.label(name):
            await preemptio.go(spin_for, seconds)
            spin_for(seconds)

    tasks = [asyncio.create_task(handler("GET /a", 0.06)), asyncio.create_task(handler("GET /b", 0.02))]
    await asyncio.gather(*tasks, preemptio.go(spin_for, 0.02))
    cpu = (runtime.metrics() - before).cpu
    assert cpu["GET /a"] > cpu["GET /b"] > 0
    assert 0.05 <= cpu["GET /a"] <= 0.2
    assert cpu[""] > 0
    assert sum(cpu.values()) <= 0.5


async def test_labels_are_bounded():
    """What has an id in it ends in one line."""
    runtime.enable_metrics()
    g = current_g()
    loop = asyncio.get_running_loop()
    for n in range(LABELS + 50):
        with runtime.label(f"GET /items/{n}"):
            loop._p.charge(g)
    cpu = runtime.metrics().cpu
    assert OTHER in cpu
    assert len(cpu) <= LABELS + 1


async def test_cpu_of_each_g():
    """Of those that used any and are alive."""
    with Flag() as flag:
        hog = preemptio.go(spin, flag)
        await parked(hog)
        assert runtime.metrics().cpu_of[hog.g.id] > 0
    await hog
    assert hog.g.id not in runtime.metrics().cpu_of


async def test_gs_by_status():
    """As they stand now; one that is suspended counts as what it is besides."""
    with Flag() as flag:
        hog = preemptio.go(spin, flag)
        waiting = [asyncio.create_task(asyncio.sleep(60)) for _ in range(5)]
        await turns(2)
        await parked(hog)
        async with preemptio.suspended(waiting[0].g):
            now = runtime.metrics()
            assert now.gs[Gstatus.WAITING] == 5
            assert now.gs[Gstatus.RUNNING] == 1
            assert (now.gs[Gstatus.RUNNABLE], now.parked) == (1, 1)
            assert now.carriers >= 2
            assert sum(now.gs.values()) == len(asyncio.all_tasks())
        for task in waiting:
            task.cancel()
    await hog


async def test_pauses():
    """The world's stops, by reason: how often, until all stood, and until they went on."""
    runtime.enable_metrics()
    for _ in range(3):
        async with preemptio.stop_the_world("audit"):
            await asyncio.sleep(0.01)
    now = runtime.metrics()
    assert now.pauses == {"audit": 3}
    assert now.pause_stopping["audit"].count == now.pause_total["audit"].count == 3
    assert now.pause_total["audit"].percentile(0) >= 0.008 > now.pause_stopping["audit"].percentile(0)
    assert (now - now).pause_total["audit"].count == 0


async def test_turns_of_the_loop():
    """One in 16 is a sample; the time in turns and that between them are the whole."""
    runtime.enable_metrics()
    await asyncio.sleep(0)
    before = runtime.metrics()
    for _ in range(TURNS * 4):
        await asyncio.sleep(0.001)
    since = runtime.metrics() - before
    seconds = since.at - runtime.metrics().since
    assert 4 <= since.turn.count <= TURNS  # a sleep takes one turn, or a few
    assert since.loop_time["idle"] > since.loop_time["active"] > 0
    assert sum(since.loop_time.values()) <= seconds


async def test_a_hog_makes_the_loop_active():
    """Also while it goes on in the middle of its step."""
    runtime.enable_metrics()
    await asyncio.sleep(0)
    before = runtime.metrics()
    await preemptio.go(spin_for, 0.1)
    times = (runtime.metrics() - before).loop_time
    assert times["active"] >= 0.07
    assert times["active"] > times["idle"]


@pytest.mark.uninjected("how many steps there are")
async def test_enabling_later_and_again():
    """Is new: what was measured before is not subtracted. Twice is once; off forgets."""
    runtime.enable_metrics()
    await turns(EVERY * 3)
    before = runtime.metrics()
    runtime.enable_metrics()
    assert runtime.metrics().since == before.since
    assert runtime.disable_metrics()
    assert not runtime.metrics().enabled
    assert (runtime.metrics() - before).run.count == 0
    runtime.enable_metrics()
    await turns(EVERY)
    since = runtime.metrics() - before
    assert since.run.count in {0, 1, 2}
    assert EVERY <= since.steps <= EVERY + 2


async def test_from_another_thread():
    """Any thread may read, while the loop runs."""
    runtime.enable_metrics()
    loop, stop, records, errors = asyncio.get_running_loop(), threading.Event(), [], []

    def read():
        try:
            while not stop.is_set():
                records.append(runtime.metrics(loop))
        except Exception as exc:
            errors.append(exc)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        while not errors and (len(records) < 20 or records[-1].steps == records[0].steps):
            await asyncio.gather(*(asyncio.sleep(0) for _ in range(50)))
    finally:
        stop.set()
        thread.join()
    assert errors == []
    steps = [record.steps for record in records]
    assert steps == sorted(steps)


async def test_the_knob_and_names(make_loop):
    """PREEMPTIO_METRICS=1 measures on every loop that begins to run. Names are a loop's own, and used again."""

    def run():
        names = []
        for _ in range(2):
            with preemptio.config.override(metrics=1), asyncio.Runner(loop_factory=make_loop) as runner:

                async def read():
                    await turns(EVERY * 2)
                    return runtime.metrics()

                record = runner.run(read())
                names.append(record.loop)
                assert record.run.count >= 1
        return names

    here = runtime.metrics().loop
    first, second = await asyncio.to_thread(run)
    assert here != first == second
    assert not runtime.metrics().enabled


async def test_misuse_says_what_to_type(make_loop):
    """A loop that is not ours, a name that is taken, records of two loops, a label that is none."""
    plain = asyncio.SelectorEventLoop()
    for call in (runtime.metrics, runtime.enable_metrics, runtime.disable_metrics):
        with pytest.raises(preemptio.NotInstalledError, match=r"preemptio\.run"):
            call(plain)
    plain.close()
    runtime.enable_metrics(name="main")

    def elsewhere():
        other = make_loop()
        try:
            with pytest.raises(ValueError, match="take another name"):
                runtime.enable_metrics(other, name="main")
            return runtime.metrics(other)
        finally:
            other.close()

    record = await asyncio.to_thread(elsewhere)
    with pytest.raises(ValueError, match="two loops"):
        runtime.metrics() - record
    with pytest.raises(TypeError, match="GET /report"), runtime.label(7):
        pass
