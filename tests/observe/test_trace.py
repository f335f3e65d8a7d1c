"""The flight recorder on a loop: every transition is there, and starting, stopping and failing change nothing else."""

import asyncio
import gc
import json
import os
import signal
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import preemptio
from preemptio import trace
from preemptio._observe._trace import _recorder
from preemptio._observe._trace._file import read
from preemptio._observe._trace._flight import flights, trace_of
from preemptio._observe._trace._timeline import Timeline, Track
from preemptio.lowlevel import Gstatus
from tests.behaviour._support import Flag, parked, spin, turns

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """Every wait is asked for its reason: how long one is depends on the machine."""
    monkeypatch.setattr(_recorder, "ASKED", -1)


@pytest.fixture(autouse=True)
def stopped():
    """What a test records, or one that failed, is not there for the next."""
    yield
    for flight in flights():
        flight.loop._p.instruments.remove(flight)


def taken():
    """Return the timeline of what is recorded now."""
    return Timeline(trace_of(flights(asyncio.get_running_loop())))


def spans(timeline, task, kind="g"):
    return timeline.spans.get(Track(0, kind, task.g.id), [])


def names(timeline, task):
    return [span.name for span in spans(timeline, task)]


async def test_the_states_of_a_task():
    """From its making to its end: ready, running, waiting for what, woken by whom, running, over."""
    trace.start()
    queue = asyncio.Queue()
    getter = asyncio.create_task(queue.get(), name="getter")
    while getter.g.status is not Gstatus.WAITING:
        await asyncio.sleep(0)
    await asyncio.sleep(0.02)
    queue.put_nowait(1)
    await getter
    timeline = taken()
    assert timeline.gs[0, getter.g.id].name == "getter"
    assert "test_trace.py" in timeline.gs[0, getter.g.id].site
    states = [name for name in names(timeline, getter) if name != "created"]
    assert states == ["runnable", "running", "waiting: queue get", "runnable", "running"]
    found = [span for span in spans(timeline, getter) if span.name != "created"]
    assert [one.end for one in found[:-1]] == [two.start for two in found[1:]]  # no gap, no overlap
    assert [span.args.get("ended") for span in found if span.name == "running"] == ["waits", "exits"]
    assert found[2].end - found[2].start >= 15_000_000
    me = asyncio.current_task().g.id
    flows = [flow for flow in timeline.flows if flow.target.number == getter.g.id]
    assert [flow.source.number for flow in flows] == [me, me]
    assert all(flow.t <= flow.until for flow in flows)
    assert trace.stop()
    assert trace.recordings(asyncio.get_running_loop()) == []


async def test_a_short_wait_is_not_asked_for_its_reason(monkeypatch):
    """That would cost more than the wait."""
    monkeypatch.setattr(_recorder, "ASKED", 10**12)
    trace.start()
    sleeper = asyncio.create_task(asyncio.sleep(0.001))
    await sleeper
    assert "waiting" in names(taken(), sleeper)
    trace.stop()


async def test_a_preempted_task():
    """Its slices say how they ended, and are on another carrier than what ran meanwhile."""
    trace.start()
    flag = Flag()
    hog = preemptio.go(spin, flag)
    await parked(hog)
    await turns(3)
    flag.stop = True
    await hog
    timeline = taken()
    ends = [span.args["ended"] for span in spans(timeline, hog) if span.name == "running"]
    assert ends[0].startswith("preempted (")
    assert ends[-1] == "exits"
    kind = ends[0].removeprefix("preempted ")
    assert f"runnable (preempted: {kind[1:]}" in names(timeline, hog)
    carriers = [track for track in timeline.tracks() if track.kind == "carrier"]
    assert len(carriers) >= 2
    (own,) = {span.args["carrier"] for span in spans(timeline, hog) if span.name == "running"}
    on_it = [span.args["g"] for span in timeline.spans[Track(0, "carrier", own)]]
    assert hog.g.id in on_it
    everything = sorted(
        (span for track in carriers for span in timeline.spans[track]), key=lambda span: (span.start, span.end)
    )
    assert all(one.end <= two.start for one, two in pairwise(everything))  # one CPU
    trace.stop()


async def test_what_else_there_is():
    """Refusals, the collector, pauses, suspensions, regions, messages, and calls in threads."""
    trace.start()
    task = asyncio.create_task(asyncio.sleep(60))

    async def masked():
        with trace.region("masked"), preemptio.nopreempt("test"):
            until = time.monotonic() + 0.03
            while time.monotonic() < until:
                pass
        await asyncio.sleep(0)
        trace.log("was masked")

    computes = preemptio.go(masked)
    await computes
    async with preemptio.suspended(task.g):
        await asyncio.sleep(0.02)
    async with preemptio.stop_the_world("a test"):
        pass
    gc.collect(1)
    await preemptio.blocking(time.sleep, 0.002)
    timeline = taken()
    marks = [(mark.category, mark.name) for mark in timeline.marks[Track(0, "g", computes.g.id)]]
    assert ("refused", "not preempted: masked") in marks
    assert ("log", "was masked") in marks
    (region,) = spans(timeline, computes, "regions")
    assert region.name == "masked"
    assert region.end - region.start >= 25_000_000
    (held,) = spans(timeline, task, "held")
    assert held.end - held.start >= 15_000_000
    pauses = timeline.spans[Track(0, "pauses", 0)]
    assert {span.name for span in pauses} == {"stopping", "the world is stopped: a test"}
    assert "generation 1" in {span.name for span in timeline.spans[Track(0, "gc", 0)]}
    assert timeline.spans[Track(0, "turns", 0)]
    assert "syscall" in names(timeline, asyncio.current_task())
    task.cancel()
    trace.stop()


@pytest.mark.uninjected("how many turns there are")
async def test_begun_and_taken_in_the_middle():
    """What ran when the recorder came, what runs now, and what has waited since before: none is left out or torn."""
    waiter = asyncio.create_task(asyncio.sleep(60), name="waiter")
    flag = Flag()
    hog = preemptio.go(spin, flag)
    await parked(hog)
    trace.start()
    with trace.region("open"):
        timeline = taken()
        me = asyncio.current_task()
        now = [span for span in spans(timeline, me) if span.name == "running"][-1]
        assert now.end == timeline.trace.streams[0].ended
        assert [span.name for span in spans(timeline, me, "regions")] == ["open"]
        assert names(timeline, waiter) == ["waiting: sleep"]
        assert {name.partition(" ")[0] for name in names(timeline, hog)} <= {"running", "runnable"}
        await asyncio.sleep(0.01)
    timeline = taken()
    assert "waiting: sleep" in names(timeline, me)  # its step ended with its turn, though nobody told
    assert "running" in names(timeline, hog)
    flag.stop = True
    await hog
    waiter.cancel()
    assert trace.stop()
    trace.start()  # once more, and what was recorded before is not there
    assert len(taken().spans.get(Track(0, "turns", 0), [])) == 0
    trace.stop()


async def test_files(tmp_path):
    """What was recorded is what is read; the recorder goes on."""
    trace.start()
    await asyncio.create_task(asyncio.sleep(0.001), name="one")
    path = trace.dump(tmp_path / "one.ptrace")
    again = read(path)
    assert again.pid == os.getpid()
    assert {about.name for about in Timeline(again).gs.values()} >= {"one"}
    await asyncio.create_task(asyncio.sleep(0.001), name="two")
    trace.dump(path)
    assert {about.name for about in Timeline(read(path)).gs.values()} >= {"one", "two"}
    assert os.listdir(tmp_path) == ["one.ptrace"]
    loop = asyncio.get_running_loop()
    elsewhere = await asyncio.to_thread(trace.dump, tmp_path / "other.json", loop)
    assert json.loads(Path(elsewhere).read_text())["traceEvents"]
    trace.stop()


async def test_a_path_that_cannot_be_written(tmp_path):
    """Says so and what to do, leaves nothing behind, and the recorder goes on."""
    trace.start()
    with pytest.raises(FileNotFoundError, match=r"the trace was not written: No such file.*directory that can be"):
        trace.dump(tmp_path / "nowhere" / "x.ptrace")
    with pytest.raises(OSError, match="No space left on device"):
        trace.dump("/dev/full")
    assert os.listdir(tmp_path) == []
    assert not os.path.isfile("/dev/full")  # a device is not replaced
    await asyncio.sleep(0)
    assert trace.dump(tmp_path / "x.ptrace")
    trace.stop()


async def test_a_slow_step_is_written(tmp_path):
    """By itself, once for what one ring shows; and one that cannot be written harms nothing."""
    with capture_logs() as logs:
        trace.start(slow=0.02, directory=str(tmp_path))

        def slow():
            with preemptio.nopreempt("test"):
                time.sleep(0.03)

        slow_task = preemptio.go(slow)
        await slow_task
        await preemptio.go(slow)
        for thread in await written():
            await asyncio.to_thread(thread.join)
        trace.stop()
        trace.start(slow=0.02, directory=str(tmp_path / "nowhere"))
        await preemptio.go(slow)
        for thread in await written():
            await asyncio.to_thread(thread.join)
        trace.stop()
    (name,) = os.listdir(tmp_path)
    assert name == f"preemptio-{os.getpid()}-slow-1.ptrace"
    timeline = Timeline(read(tmp_path / name))
    assert max(span.end - span.start for span in spans(timeline, slow_task)) >= 29_000_000
    said = [log for log in logs if log["event"].startswith("trace")]
    assert [log["event"] for log in said] == ["trace written", "trace not written"]
    assert f"G {slow_task.g.id} had the CPU for 0.0" in said[0]["why"]
    assert "No such file or directory" in said[1]["why"]


async def written():
    """Wait until the loop has started the thread that writes; return it."""
    await turns(5)
    return [thread for thread in threading.enumerate() if thread.name == "preemptio-trace"]


async def test_a_signal_has_it_written(tmp_path):
    """By the loop, not in the handler, as often as it comes; the old handling is back afterwards."""
    before = signal.getsignal(signal.SIGUSR2)
    trace.start(signum=signal.SIGUSR2, directory=str(tmp_path))
    for n in (1, 2):
        os.kill(os.getpid(), signal.SIGUSR2)
        path = tmp_path / f"preemptio-{os.getpid()}-signal-{n}.ptrace"
        while not path.exists():
            await asyncio.sleep(0.001)
        assert read(path).streams
    assert trace.stop()
    assert signal.getsignal(signal.SIGUSR2) == before
    for thread in await written():
        await asyncio.to_thread(thread.join)


async def test_a_task_whose_name_cannot_be_had():
    """Is recorded without; the recorder is not to blame, and stays."""

    class Nameless(asyncio.Task):
        def get_name(self):
            raise ValueError("no name")

    loop = asyncio.get_running_loop()
    trace.start()
    task = Nameless(asyncio.sleep(0.002), loop=loop)
    await task
    timeline = taken()
    ids = [number for (_, number), about in timeline.gs.items() if about.name == f"G-{number}"]
    assert len(ids) == 1
    assert trace.stop()


async def test_misuse_says_what_to_type(make_loop, tmp_path):
    """What is out of range, what is on already, what is not there."""
    with pytest.raises(RuntimeError, match=r"type trace\.start\(\) in the loop first"):
        trace.dump(tmp_path / "x")
    for wrong in ({"seconds": 0}, {"max_bytes": 1000}, {"slow": -1}):
        with pytest.raises(ValueError, match=r"type, for example: "):
            trace.start(**wrong)
    trace.start()
    with pytest.raises(RuntimeError, match=r"recorded already; type trace\.stop\(\) first"):
        trace.start()
    assert trace.stop()
    assert not trace.stop()
    plain = asyncio.SelectorEventLoop()
    with pytest.raises(preemptio.NotInstalledError, match=r"preemptio\.run"):
        trace.start(loop=plain)
    with pytest.raises(preemptio.NotInstalledError, match=r"preemptio\.run"):
        trace.recordings(plain)
    plain.close()
    errors = []

    def elsewhere(loop):
        try:
            trace.start(loop=loop)
        except RuntimeError as why:
            errors.append(str(why))

    await asyncio.to_thread(elsewhere, asyncio.get_running_loop())
    assert "call_soon_threadsafe(functools.partial(trace.start, loop=loop))" in errors[0]

    def signal_elsewhere():
        async def main():
            with pytest.raises(RuntimeError, match="main thread only; leave signum out"):
                trace.start(signum=signal.SIGUSR2)
            assert not trace.stop()

        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(main())

    await asyncio.to_thread(signal_elsewhere)


async def test_two_loops_in_two_threads(make_loop):
    """Each has a recorder and a stream of its own, and one file has both."""
    trace.start()
    ready, done = threading.Event(), threading.Event()

    async def other():
        trace.start()
        await asyncio.create_task(asyncio.sleep(0.001), name="over there")
        ready.set()
        while not done.is_set():
            await asyncio.sleep(0.001)
        assert trace.stop()

    def run():
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(other())

    thread = threading.Thread(target=run)
    thread.start()
    while not ready.is_set():
        await asyncio.sleep(0.001)
    both = Timeline(trace_of(flights()))
    done.set()
    await asyncio.to_thread(thread.join)
    assert len(both.trace.streams) == 2
    here, there = ({about.name for (n, _), about in both.gs.items() if n == number} for number in (0, 1))
    assert "over there" in there - here
    assert {track.stream for track in both.tracks()} == {0, 1}
    trace.stop()


async def test_a_loop_that_is_closed_while_it_is_recorded(make_loop, tmp_path):
    """Leaves its recording to be written, and stopping it is no error."""

    def run():
        with asyncio.Runner(loop_factory=make_loop) as runner:
            trace.start(loop=runner.get_loop())
            runner.run(asyncio.sleep(0.005))
            loop = runner.get_loop()
        trace.dump(tmp_path / "closed.ptrace", loop)
        assert trace.stop(loop)

    await asyncio.to_thread(run)
    timeline = Timeline(read(tmp_path / "closed.ptrace"))
    assert "waiting: sleep" in {span.name for spans in timeline.spans.values() for span in spans}


async def test_the_knobs(make_loop, tmp_path):
    """PREEMPTIO_TRACE starts a recorder in every loop that begins to run, once, with what the others say."""

    def run():
        async def main():
            return trace.recordings(asyncio.get_running_loop())

        with asyncio.Runner(loop_factory=make_loop) as runner:
            return [*runner.run(main()), *runner.run(main())]

    with preemptio.config.override(trace=5.0, trace_bytes=1 << 20, trace_signal="SIGUSR1"):
        first, second = await asyncio.to_thread(run)
    assert (first.seconds, first.max_bytes) == (5.0, 1 << 20)
    assert second.since > first.since
    assert await asyncio.to_thread(run) == []
