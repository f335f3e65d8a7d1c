"""The files for viewers: valid by the rules of their formats, and understood by Perfetto's own trace processor."""

import asyncio
import json
import struct
from collections import defaultdict

import pytest

import preemptio
from preemptio import trace
from preemptio._observe._trace import _recorder
from preemptio._observe._trace._file import MAGIC, read
from preemptio._observe._trace._flight import flights, save, trace_of
from preemptio._observe._trace._timeline import Mark, Span, Timeline, nested
from preemptio._observe._trace._totals import summary
from tests.behaviour._support import Flag, parked, spin
from tests.observe import _trace_processor as processor


async def program():
    """Do what gives every kind of track something."""
    flag = Flag()
    hogs = [preemptio.go(spin, flag, name=f"hog {n}") for n in range(2)]
    queue = asyncio.Queue()
    getter = asyncio.create_task(queue.get(), name='the "getter"\n\u00e9')
    waits = asyncio.create_task(asyncio.Event().wait(), name="waits for ever")
    with trace.region("outer"):
        with trace.region("inner"):
            await asyncio.sleep(0.02)
        trace.log("half-way")
    queue.put_nowait(1)
    await getter
    async with preemptio.stop_the_world("a test"):
        pass
    async with preemptio.suspended(waits.g):
        await asyncio.sleep(0.002)
    flag.stop = True
    for hog in hogs:
        await hog
    with trace.region("left open"):
        return trace_of(flights(asyncio.get_running_loop()))


@pytest.fixture(scope="module")
def recorded():
    """A trace of that program."""

    async def main():
        trace.start()
        taken = await program()
        trace.stop()
        return taken

    with preemptio.config.override(slice=0.001), pytest.MonkeyPatch.context() as patch:
        patch.setattr(_recorder, "ASKED", -1)  # else a machine that stalls makes a wait too short to be asked
        return preemptio.run(main())


@pytest.fixture(scope="module")
def wrapped():
    """A trace whose beginning is gone, in the middle of everything."""

    async def steps(n):
        for _ in range(n):
            await asyncio.sleep(0)

    async def main():
        trace.start(max_bytes=256 << 10)
        flag = Flag()
        hog = preemptio.go(spin, flag)
        await parked(hog)
        waits = asyncio.create_task(asyncio.sleep(60), name="waits all along")
        held = asyncio.create_task(asyncio.sleep(60), name="held all along")
        await asyncio.sleep(0)
        with trace.region("all along"):
            async with preemptio.suspended(held.g):
                while not trace.recordings()[-1].dropped:
                    await asyncio.gather(*(steps(100) for _ in range(5)))
                await asyncio.gather(*(steps(100) for _ in range(20)))
        await asyncio.create_task(steps(1))
        taken = trace_of(flights(asyncio.get_running_loop()))
        flag.stop = True
        await hog
        waits.cancel()
        held.cancel()
        trace.stop()
        return taken

    with preemptio.config.override(slice=0.001), pytest.MonkeyPatch.context() as patch:
        patch.setattr(_recorder, "ASKED", -1)  # else a machine that stalls makes a wait too short to be asked
        return preemptio.run(main())


@pytest.fixture(params=["recorded", "wrapped"])
def some(request):
    """One and the other."""
    return request.getfixturevalue(request.param)


def test_chrome_by_its_rules(some, tmp_path):
    """Times do not go back; the spans of a thread nest; each flow has one start, inside of a span, and one end; each
    thread and process has a name.
    """
    save(some, str(tmp_path / "x.json"))
    events = json.loads((tmp_path / "x.json").read_text())["traceEvents"]
    assert {event["ph"] for event in events} <= set("XiMsf")
    assert all({"ph", "pid", "tid", "ts", "name"} <= event.keys() for event in events)
    times = [event["ts"] for event in events]
    assert times == sorted(times)
    assert times[0] >= 0
    spans = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            spans[event["pid"], event["tid"]].append((event["ts"], -event["dur"]))
    for thread, found in spans.items():
        stack = []
        for start, minus in sorted(found):
            while stack and stack[-1] <= start + 1e-6:
                stack.pop()
            assert minus <= 0, thread
            assert not stack or start - minus <= stack[-1] + 1e-3, thread
            stack.append(start - minus)
    flows = defaultdict(list)
    for event in events:
        if event["ph"] in "sf":
            flows[event["id"]].append(event)
    assert flows
    for first, second in flows.values():
        assert (first["ph"], second["ph"], second["bp"]) == ("s", "f", "e")
        assert first["ts"] <= second["ts"]
        inside = spans[second["pid"], second["tid"]]
        assert any(start - 1e-6 <= second["ts"] <= start - minus + 1e-6 for start, minus in inside)
    named = {(event["pid"], event["tid"]) for event in events if event["name"] == "thread_name"}
    assert {(event["pid"], event["tid"]) for event in events if event["ph"] in "Xi"} <= named
    assert {pid for pid, _ in named} <= {event["pid"] for event in events if event["name"] == "process_name"}


def test_what_wrapped_is_cut(wrapped):
    """What began before the oldest record lasts from there; an end without its beginning is nothing."""
    timeline = Timeline(wrapped)
    (stream,) = wrapped.streams
    assert stream.dropped > 0
    by_name = {about.name: number for (_, number), about in timeline.gs.items()}
    for name, reason in (("waits all along", "waiting: sleep"), ("held all along", "waiting: sleep")):
        whole = [span for track, found in timeline.spans.items() if track[1:] == ("g", by_name[name]) for span in found]
        assert [span.name for span in whole] == [reason], name
        assert whole[0].start > stream.began
        assert whole[0].end == stream.ended
    assert "all along" not in {span.name for found in timeline.spans.values() for span in found}
    assert all(span.start <= span.end for found in timeline.spans.values() for span in found)


def test_a_track_nests():
    """What begins last ends first; a mark at the end of a span is in it; a span that sticks out is cut."""
    spans = [
        Span(0, 10, "a", ""),
        Span(0, 5, "b", ""),
        Span(5, 12, "c", ""),
        Span(10, 10, "d", ""),
        Span(12, 13, "e", ""),
    ]
    order = [(t, phase, item.name) for t, phase, item in nested(spans, [Mark(5, "m", "")])]
    assert order == [
        (0, "B", "a"),
        (0, "B", "b"),
        (5, "E", "b"),
        (5, "B", "c"),
        (5, "I", "m"),
        (10, "E", "c"),
        (10, "E", "a"),
        (10, "B", "d"),
        (10, "E", "d"),
        (12, "B", "e"),
        (13, "E", "e"),
    ]


def test_the_protobuf_by_its_descriptors(some, tmp_path):
    """Each packet is one of Perfetto's; begins and ends of a track are balanced; flows come out where they went in."""
    from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as pb

    save(some, str(tmp_path / "x.pftrace"))
    found = pb.Trace()
    found.ParseFromString((tmp_path / "x.pftrace").read_bytes())
    tracks = {packet.track_descriptor.uuid for packet in found.packet if packet.HasField("track_descriptor")}
    parents = {packet.track_descriptor.parent_uuid for packet in found.packet if packet.HasField("track_descriptor")}
    assert parents - {0} <= tracks
    open_spans = defaultdict(int)
    out, back = set(), set()
    last = 0
    for packet in found.packet:
        if not packet.HasField("track_event"):
            continue
        event = packet.track_event
        assert packet.timestamp >= last
        last = packet.timestamp
        assert event.track_uuid in tracks
        open_spans[event.track_uuid] += {event.TYPE_SLICE_BEGIN: 1, event.TYPE_SLICE_END: -1}.get(event.type, 0)
        assert open_spans[event.track_uuid] >= 0
        out |= set(event.flow_ids)
        assert set(event.terminating_flow_ids) <= out
        back |= set(event.terminating_flow_ids)
    assert set(open_spans.values()) == {0}
    assert out
    assert out == back


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["pftrace", "json"])
def test_perfettos_trace_processor_answers(recorded, tmp_path, ending):
    """It loads the file without a complaint, and SQL finds in it what the program did."""
    path = tmp_path / f"x.{ending}"
    save(recorded, str(path))
    tp = processor.load(path)
    # A row is a thread in the one format, a track in the other.
    rows = (
        "join track t on s.track_id = t.id"
        if ending == "pftrace"
        else ("join thread_track tt on s.track_id = tt.id join thread t using (utid)")
    )

    def ask(sql):
        return [tuple(vars(row).values()) for row in tp.query(sql)]

    try:
        bad = ask("select name, value from stats where value > 0 and severity in ('error', 'data_loss')")
        assert bad == []
        states = {name for (name,) in ask(f"select distinct s.name from slice s {rows} where t.name like '%getter%'")}
        assert {"running", "runnable", "waiting: queue get"} <= states
        ((preempted,),) = ask(f"select count(*) from slice s {rows} where s.name like 'runnable (preempted: %'")
        ((taken,),) = ask("select sum(dur) from slice where name like 'runnable (preempted: %'")
        assert preempted > 0
        assert taken > 0
        ((carriers,),) = ask(f"select count(distinct t.name) from slice s {rows} where t.name like 'carrier %'")
        assert carriers >= 2
        ((woken,),) = ask(
            f"select count(*) from flow f join slice s on f.slice_in = s.id {rows}"
            " where t.name like '%getter%' and s.name = 'running'"
        )
        assert woken == 2  # when it was made, and by the queue
        pauses = ask(f"select s.name from slice s {rows} where t.name = 'pauses' order by s.depth")
        assert pauses == [("the world is stopped: a test",), ("stopping",)]
        regions = ask(f"select s.name, s.depth from slice s {rows} where t.name like '%regions' order by s.ts, s.depth")
        assert regions == [("outer", 0), ("inner", 1), ("left open", 0)]
        assert ask("select count(*) from slice where dur < 0") == [(0,)]
    finally:
        tp.close()


def test_our_own_format(recorded, tmp_path):
    """What is written is what is read."""
    path = str(tmp_path / "x.ptrace")
    save(recorded, path)
    assert read(path) == recorded


@pytest.mark.parametrize("damage", ["empty", "json", "cut", "header", "version", "rubbish"])
def test_a_damaged_file(recorded, tmp_path, damage):
    """Is refused by name, with what to do; never read halfway."""
    path = str(tmp_path / "x.ptrace")
    save(recorded, path)
    with open(path, "rb") as file:
        whole = file.read()
    changed = {
        "empty": b"",
        "json": b'{"traceEvents": []}',
        "cut": whole[:-100],
        "header": whole[: len(MAGIC) + 50],
        "version": whole.replace(b'"version": 1', b'"version": 9'),
        "rubbish": MAGIC + struct.pack("<Q", 1) * 100,
    }[damage]
    with open(path, "wb") as file:
        file.write(changed)
    with pytest.raises(trace.TraceError, match=r"x\.ptrace' (is not a trace|is damaged|was written by another)"):
        read(path)


def test_the_summary(recorded):
    """Names who ran, how often the CPU was taken, what was waited for, and for how long the world stood."""
    lines = list(summary(recorded, 10))
    text = "\n".join(lines)
    assert "hog 0" in text
    assert any("preempted (" in line and int(line.split()[0]) > 0 for line in lines)
    assert "waiting: queue get" in text
    assert "waits for ever  waiting: asyncio.Event" in text
    assert "Pauses: 1 times" in text
    assert list(summary(recorded, 1))[3:5] != lines[3:5]
    assert "more Gs, which ran less; type: --top" in "\n".join(summary(recorded, 1))


def test_perfetto_is_optional(recorded, tmp_path, monkeypatch):
    """Without its package the error says what to install, or what to write instead; and no file is begun."""
    monkeypatch.setitem(__import__("sys").modules, "perfetto.trace_builder.proto_builder", None)
    with pytest.raises(preemptio.UnsupportedError, match=r"pip install 'preemptio\[perfetto\]', or write FILE\.json"):
        save(recorded, str(tmp_path / "x.pftrace"))
    assert list(tmp_path.iterdir()) == []
