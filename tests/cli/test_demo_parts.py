"""The demo's server and client: what they measure is what they say, freezes included."""

import asyncio
import itertools
import socket
import threading
import time

import pytest

from preemptio._cli._demo_app import PERIOD, Service, cluster, points_for, scatter
from preemptio._cli._demo_client import Load

ANSWER = b"HTTP/1.1 200 OK\r\n\r\n{}"


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0), backlog=100) as sock:
        yield sock


def server(listener, count, answer=ANSWER):
    """Answer `count` connections, but none before all are there."""

    def serve():
        connections = [listener.accept()[0] for _ in range(count)]
        for connection in connections:
            connection.recv(1000)
            connection.sendall(answer)
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_arrivals_do_not_wait_for_answers(listener):
    """Every health check is sent while none was answered, and its latency counts from its own due time."""
    thread = server(listener, 5)
    load = Load(listener.getsockname()[1], 0.05, 100, 0)
    load.run()
    thread.join()
    assert (load.sent, len(load.health), load.failed) == (5, 5, 0)
    assert max(load.health) - min(load.health) > 0.03


def test_crunch_is_kept_busy(listener):
    """A client asks again when it was answered, until the time is over."""
    thread = server(listener, 3)
    load = Load(listener.getsockname()[1], 0.0, 50, 3)
    load.run()
    thread.join()
    assert (load.crunched, load.sent) == (3, 0)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 404 Not Found\r\n\r\n", b"", b"nonsense"])
def test_a_bad_answer_is_no_answer(listener, answer):
    """Only a 200 counts."""
    thread = server(listener, 1, answer)
    load = Load(listener.getsockname()[1], 0.01, 100, 0)
    load.run()
    thread.join()
    assert (len(load.health), load.failed) == (0, 1)


def test_what_is_not_answered_yet_counts_with_its_age(listener):
    """The current p99 sees a freeze while it lasts, not when it is over."""
    load = Load(listener.getsockname()[1], 1.0, 50, 0)
    load.send("/health", load.start - 5.0)
    assert load.so_far(load.start + 1.0) == [6.0]
    for request in load.waiting:
        request.sock.close()


def test_each_late_beat_is_counted():
    """A freeze makes every beat that fell into it late, each by its own time."""

    async def main():
        service = Service(0)
        heart = asyncio.create_task(service.beat())
        while not service.late:
            await asyncio.sleep(0)
        service.late.clear()
        end = time.perf_counter() + 10 * PERIOD
        while time.perf_counter() < end:
            pass
        while not service.late:
            await asyncio.sleep(0)
        heart.cancel()
        return service.late

    late = asyncio.run(main())
    assert len(late) >= 9
    assert all(a - b == pytest.approx(PERIOD) for a, b in itertools.pairwise(late))


def test_the_work_is_work():
    """Clusters are found where the points were scattered, by as many points as fill the time asked for."""
    points = scatter(2000, seed=3)
    assert len(points) == 2000
    assert points != scatter(2000, seed=4)
    spread = [abs(x - y) for (x, _), (y, _) in zip(cluster(2000, seed=3), cluster(2000, seed=4), strict=True)]
    assert len(spread) == 8
    assert max(spread) > 0
    assert points_for(0.0) == 50
    assert points_for(0.4) > points_for(0.04)


def test_routes():
    """Each path has its answer; the first words of an unknown one say which are known."""
    service = Service(50)
    service.late.append(1.0)
    assert service.answer("/health") == ("200 OK", {"ok": True})
    assert service.answer("/crunch")[0] == "200 OK"
    assert service.answer("/nowhere")[0] == "404 Not Found"
    assert service.answer("/stop") == ("200 OK", {"late": [1.0]})
    assert service.stopped.is_set()
    service.answer("/begin")
    assert service.late == []
