"""Tasks and threads suspend hogs, waiting, blocked and queued tasks, stop the world, give up: nobody runs while held.

PREEMPTIO_SLICE=300us
May say: task could not be suspended
May say: blocking call in a task
Exit: 0
"""

import asyncio
import contextlib
import random
import time

from _common import Flag, run, spin

import preemptio

ROUNDS = 1500


def thread(targets, seed):
    rng = random.Random(seed)
    for _ in range(ROUNDS):
        target = rng.choice(targets)
        try:
            state = preemptio.suspend_g_threadsafe(target, timeout=rng.choice([None, None, 0.5, 0.0005]))
        except TimeoutError:
            continue
        slices = target.g.slices
        time.sleep(rng.choice([0, 0, 0, 0.0005]))
        assert state.dead or target.g.slices == slices, target.g
        preemptio.resume_g(state)


async def reader(targets, seed):
    rng = random.Random(seed)
    for n in range(ROUNDS):
        if n % 50 == 0:
            async with preemptio.stop_the_world("test"):
                before = [target.g.slices for target in targets]
                await asyncio.sleep(0.0005)
                assert [target.g.slices for target in targets] == before
            continue
        target = rng.choice(targets)
        async with preemptio.suspended(target) as state:
            slices = target.g.slices
            if n % 2:
                await asyncio.sleep(0)
            assert state.dead or target.g.slices == slices, target.g


async def main():
    flag, queue = Flag(), asyncio.Queue()

    async def consumer():
        while True:
            await queue.get()

    async def producer():
        while not flag.stop:
            queue.put_nowait(1)
            await asyncio.sleep(0)

    def waits():
        while not flag.stop:
            preemptio.wait(asyncio.sleep(0.0005))

    def blocks():
        while not flag.stop:
            time.sleep(0.002)

    hogs = [preemptio.go(spin, flag) for _ in range(3)]
    others = [
        asyncio.create_task(consumer()),
        asyncio.create_task(producer()),
        preemptio.go(waits),
        preemptio.go(blocks),
    ]
    targets = hogs + others
    threads = [preemptio.blocking(thread, targets, seed) for seed in range(3)]
    await asyncio.gather(*threads, *[reader(targets, seed) for seed in range(4)])
    assert not asyncio.get_running_loop()._p.holds
    flag.stop = True
    await asyncio.gather(*hogs, *others[1:])
    others[0].cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await others[0]


run(main())
print("OK")
