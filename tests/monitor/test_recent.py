"""The timeline's bins, and what the feed makes of a program."""

import asyncio
import time

import pytest

import preemptio
from preemptio import runtime, trace
from preemptio._observe._monitor._control import Control
from preemptio._observe._trace._flight import flight_of
from preemptio._observe._web import _recent
from preemptio._observe._web._feed import Feed
from preemptio._observe._web._recent import BIN, BINS, LANES, Lane, Recent
from tests.behaviour._support import Flag, parked, spin
from tests.monitor._support import run

VIEW = {"sort": "share", "reverse": False, "status": "", "match": "", "limit": 100}


def test_a_slice_is_spread_over_its_bins():
    """What ends up in them is what was put in; one that is longer than the picture costs no more than the picture."""
    lane = Lane()
    lane.ran(BIN // 2, 3 * BIN + BIN // 4)
    assert lane.cpu == {0: BIN // 2, 1: BIN, 2: BIN, 3: BIN // 4}
    lane.ran(BIN // 4, BIN // 2)
    assert lane.cpu[0] == BIN * 3 // 4
    lane.ran(0, 10**6 * BIN)
    assert len(lane.cpu) <= BINS + 5
    assert lane.forget(2)
    assert min(lane.cpu) == 2
    assert not lane.forget(10**9)


def test_the_picture_is_of_those_that_had_the_cpu():
    """Ten lanes, and one for all others; who runs is counted until now; who has ended keeps its name."""

    async def work(flag):
        spin(flag)

    async def main():
        trace.start()
        recent = Recent(flight_of(asyncio.get_running_loop()))
        flag = Flag()
        with flag:
            hogs = [asyncio.create_task(work(flag), name=f"hog {n}") for n in range(2)]
            await parked(*hogs)
            brief = [asyncio.create_task(asyncio.sleep(0), name=f"brief {n}") for n in range(LANES + 5)]
            await asyncio.gather(*brief)
            names = {each.g.id: each.get_name() for each in (*hogs, *brief)}
            recent.read()
            first = recent.picture(names)
        await asyncio.gather(*hogs)
        recent.read()
        return first, recent.picture({}), [each.g.id for each in hogs]

    first, second, hogs = run("asyncio", main())
    lanes = {lane["g"]: lane for lane in first["lanes"]}
    assert len(lanes) == LANES + 1
    assert lanes[0]["name"].endswith(" others")
    for number in hogs:
        assert lanes[number]["name"].startswith("hog")
        assert len(lanes[number]["cpu"]) == BINS
        assert any(lanes[number]["cpu"])
        assert sum(n for _, n in lanes[number]["preempted"]) > 0
    assert {lane["name"] for lane in second["lanes"]} >= {"hog 0", "hog 1"}
    assert all(0 <= share <= 100 for lane in second["lanes"] for share in lane["cpu"])


def test_no_more_records_are_read_than_can_be(monkeypatch):
    """Of a second with more, the newest."""
    monkeypatch.setattr(_recent, "MOST", 50)

    async def main():
        trace.start()
        recent = Recent(flight_of(asyncio.get_running_loop()))
        await asyncio.create_task(asyncio.sleep(0), name="early")
        for _ in range(100):
            await asyncio.create_task(asyncio.sleep(0))
        recent.read()
        return recent

    assert 0 < len(run("asyncio", main())._lanes) <= 50


@pytest.mark.uninjected("who computed most")
def test_the_feed_tells_what_there_is():
    """Nothing is kept when metrics or the recorder are off; it is made anew after half a second only."""

    async def main():
        loop = asyncio.get_running_loop()
        feed, flag = Feed(Control(loop)), Flag()
        assert feed.tell(**VIEW)["latency"] is None
        assert feed.tell(**VIEW)["timeline"] is None
        runtime.enable_metrics()
        trace.start()
        with flag:
            hog = preemptio.go(spin, flag, name="hog")
            await parked(hog)
            feed._at = 0.0
            told = feed.tell(**VIEW)
            assert told["latency"]["seconds"] == 0
            assert [each["id"] for each in told["parked"]] == [hog.g.id]
            assert told["table"]["rows"][0]["name"] == "hog"
            assert told["table"]["rows"][0]["share"] > 0
            assert told["cpu"]["first"] == "hog"
            same = feed._told
            feed._at = time.monotonic()
            feed.tell(**VIEW)
            assert feed._told is same
            feed._at = 0.0
            later = feed.tell(**VIEW)
            assert later["latency"]["seconds"] > 0
            assert sum(later["latency"]["series"][1]["bars"]) == later["latency"]["series"][1]["count"]
        await hog
        trace.stop()
        runtime.disable_metrics()
        feed._at = 0.0
        told = feed.tell(**VIEW)
        assert (told["latency"], told["timeline"], told["parked"]) == (None, None, [])

    run("asyncio", main())
