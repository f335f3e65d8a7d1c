"""The program on gevent: greenlets that switch at blocking calls, and at a `sleep(0)` between jobs."""

from __future__ import annotations

import gevent
from gevent.server import StreamServer

from benchmarks.load._hogs import KINDS
from benchmarks.load._scene import Scene, Tally, Walk, answer, say


def hog(scene: Scene, tally: Tally) -> None:
    """Compute job after job."""
    work = KINDS[scene.kind]
    while not tally.is_over:
        for _ in range(scene.chunks):
            work(scene.count)
            tally.note()
        gevent.sleep(0)


def start_hogs(scene: Scene) -> Tally:
    """Start all hogs in one turn."""
    tally = Tally()
    for _ in range(scene.hogs):
        gevent.spawn(hog, scene, tally)
    return tally


def sleeper(walk: Walk) -> None:
    """Sleep until each arrival."""
    while (seconds := walk.serve()) is not None:
        gevent.sleep(seconds)


def serve(scene: Scene) -> None:
    """Echo until the client has closed its last connection."""
    opened = closed = 0
    tallies: list[Tally] = []

    def echo(socket: gevent.socket.socket, _address: object) -> None:
        nonlocal opened, closed
        opened += 1
        if opened == scene.connections:
            tallies.append(start_hogs(scene))
            socket.sendall(b"!")
        try:
            while data := socket.recv(4096):
                socket.sendall(data)
        except ConnectionError:
            pass
        closed += 1
        if closed == scene.connections:
            answer(tallies[0].end())

    server = StreamServer(("127.0.0.1", 0), echo)
    server.start()
    say(str(server.server_port))
    server.serve_forever()


def main() -> None:
    """Play what the parent says."""
    scene = Scene.read()
    if scene.probe == "echo":
        serve(scene)
    walk = Walk(scene.due)
    probe = gevent.spawn(sleeper, walk)
    tally = start_hogs(scene)
    probe.join()
    answer(tally.end(), walk.late)


if __name__ == "__main__":
    main()
