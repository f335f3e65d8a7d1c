"""The program on trio, with the hogs' jobs in its worker threads."""

from __future__ import annotations

import trio

from benchmarks.load._hogs import job
from benchmarks.load._scene import Scene, Tally, Walk, answer, say


async def hog(scene: Scene, tally: Tally) -> None:
    """Have job after job computed by a thread."""
    while not tally.is_over:
        await trio.to_thread.run_sync(job, scene.kind, scene.count, scene.chunks, tally.note)


async def play(scene: Scene) -> None:
    """Play the scene; the process ends in `answer`."""
    async with trio.open_nursery() as nursery:
        if scene.probe == "echo":
            await serve(scene, nursery)
        walk = Walk(scene.due)
        tally = start_hogs(scene, nursery)
        while (seconds := walk.serve()) is not None:
            await trio.sleep(seconds)
        answer(tally.end(), walk.late)


def start_hogs(scene: Scene, nursery: trio.Nursery) -> Tally:
    """Start all hogs in one turn."""
    tally = Tally()
    for _ in range(scene.hogs):
        nursery.start_soon(hog, scene, tally)
    return tally


async def serve(scene: Scene, nursery: trio.Nursery) -> None:
    """Echo until the client has closed its last connection."""
    opened = closed = 0
    tallies: list[Tally] = []

    async def echo(stream: trio.SocketStream) -> None:
        nonlocal opened, closed
        opened += 1
        if opened == scene.connections:
            tallies.append(start_hogs(scene, nursery))
            await stream.send_all(b"!")
        try:
            while data := await stream.receive_some(4096):
                await stream.send_all(data)
        except trio.BrokenResourceError:
            pass
        closed += 1
        if closed == scene.connections:
            answer(tallies[0].end())

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    say(str(listeners[0].socket.getsockname()[1]))
    await trio.serve_listeners(echo, listeners)


if __name__ == "__main__":
    trio.run(play, Scene.read())
