"""The program on asyncio: plain or preempted, on its own loop or uvloop's, the hogs as tasks or elsewhere."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

from benchmarks._worker import Side
from benchmarks.load._hogs import KINDS, job
from benchmarks.load._scene import Scene, Tally, Walk, answer, say

SWITCH_INTERVAL = 0.0005


async def hog(scene: Scene, tally: Tally, often: bool) -> None:
    """Compute job after job on the loop; `often`: with an await after every millisecond, as one is advised."""
    work = KINDS[scene.kind]
    while not tally.is_over:
        for _ in range(scene.chunks):
            work(scene.count)
            tally.note()
            if often:
                await asyncio.sleep(0)
        await asyncio.sleep(0)


async def hog_elsewhere(scene: Scene, tally: Tally, pool: Executor | None) -> None:
    """Have job after job computed by a pool; None: by `asyncio.to_thread`."""
    loop = asyncio.get_running_loop()
    arguments = (scene.kind, scene.count, scene.chunks)
    while not tally.is_over:
        if isinstance(pool, ProcessPoolExecutor):  # it cannot tell before the job is done
            await loop.run_in_executor(pool, job, *arguments)
            for _ in range(scene.chunks):
                tally.note()
        elif pool is None:
            await asyncio.to_thread(job, *arguments, tally.note)
        else:
            await loop.run_in_executor(pool, job, *arguments, tally.note)


def pool_for(scene: Scene) -> Executor | None:
    """Return the pool that the scene asks for, its workers started."""
    if scene.how == "threads":
        sys.setswitchinterval(SWITCH_INTERVAL)
        return ThreadPoolExecutor()
    if scene.how == "processes":
        pool = ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork"))
        list(pool.map(job, *zip(*[(scene.kind, 1, 1)] * 4, strict=True)))
        return pool
    return None


def start_hogs(scene: Scene, pool: Executor | None) -> tuple[Tally, list[asyncio.Task[None]]]:
    """Start all hogs in one turn."""
    tally = Tally()
    if scene.how in ("to_thread", "threads", "processes"):
        return tally, [asyncio.create_task(hog_elsewhere(scene, tally, pool)) for _ in range(scene.hogs)]
    often = scene.how == "sprinkled"
    return tally, [asyncio.create_task(hog(scene, tally, often)) for _ in range(scene.hogs)]


async def sleeper(walk: Walk) -> None:
    """Sleep until each arrival."""
    while (seconds := walk.serve()) is not None:
        await asyncio.sleep(seconds)


async def play(scene: Scene, pool: Executor | None) -> None:
    """Play the scene; the process ends in `answer`."""
    if scene.probe == "sleep":
        walk = Walk(scene.due)
        probe = asyncio.create_task(sleeper(walk))
        tally, _hogs = start_hogs(scene, pool)
        await probe
        finish(tally, walk.late)
    await serve(scene, pool)


async def serve(scene: Scene, pool: Executor | None) -> None:
    """Echo until the client has closed its last connection. The hogs start with the last connection."""
    opened = closed = 0
    tallies: list[tuple[Tally, list[asyncio.Task[None]]]] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened, closed
        opened += 1
        if opened == scene.connections:
            tallies.append(start_hogs(scene, pool))
            writer.write(b"!")
        try:
            while True:
                writer.write(await reader.readexactly(scene.size))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            closed += 1
        if closed == scene.connections:
            finish(tallies[0][0])

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    say(str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


def finish(tally: Tally, late: list[float] = []) -> None:  # noqa: B006 - it is only read
    """End the process and those of the pool."""
    result = tally.end()
    for child in multiprocessing.active_children():
        child.kill()
    answer(result, late)


def main() -> None:
    """Play what the parent says."""
    scene = Scene.read()
    side = Side("preempted" if scene.how == "preempted" else "stock", scene.base, scene.slice)
    side.run(play, scene, pool_for(scene))


if __name__ == "__main__":
    main()
