"""What asyncio promises of its own primitives, hammered by tasks that call and loop between every two awaits.

Every function here may be preempted at its entry and at its loops' back edges. What asyncio does in its own frames must
not be: its primitives rely on nothing else running between two of their statements.
"""

import asyncio
import io
import logging

import preemptio

ROUNDS = 60


def work(n=4):
    """Call and loop: safe points between the user's own statements."""
    total = 0
    for i in range(n):
        total += i
    return total


async def queue():
    """Every item arrives once, and the queue is never longer than it may be."""
    q, got = asyncio.Queue(2), []

    async def put(k):
        for i in range(ROUNDS):
            work()
            await q.put((k, i))
            assert q.qsize() <= 2

    async def get():
        for _ in range(ROUNDS):
            work()
            got.append(await q.get())
            q.task_done()

    async with asyncio.TaskGroup() as group:
        for k in range(4):
            group.create_task(put(k))
            group.create_task(get())
    await q.join()
    assert sorted(got) == [(k, i) for k in range(4) for i in range(ROUNDS)]
    for k in range(4):
        mine = [i for of, i in got if of == k]
        assert mine == sorted(mine), "overtaken"


async def exclusion():
    """Lock: one inside; Semaphore: two; and everybody gets in."""
    for limit, lock in ((1, asyncio.Lock()), (2, asyncio.Semaphore(2))):
        inside, entered = [0], [0]

        async def enter(lock=lock, limit=limit, inside=inside, entered=entered):
            for _ in range(ROUNDS):
                async with lock:
                    inside[0] += 1
                    entered[0] += 1
                    work()
                    await asyncio.sleep(0)
                    work()
                    assert inside[0] <= limit
                    inside[0] -= 1

        await asyncio.gather(*[enter() for _ in range(4)])
        assert entered[0] == 4 * ROUNDS


async def condition():
    """Tasks take turns; no notification is lost."""
    cond, turn = asyncio.Condition(), [0]

    async def play(k):
        for _ in range(ROUNDS):
            async with cond:
                await cond.wait_for(lambda: turn[0] % 4 == k)
                work()
                turn[0] += 1
                cond.notify_all()

    await asyncio.gather(*[play(k) for k in range(4)])
    assert turn[0] == 4 * ROUNDS


async def event():
    """A set event wakes every waiter, every time."""
    woken = [0]

    async def wait(flag):
        work()
        await flag.wait()
        woken[0] += 1

    for _ in range(ROUNDS // 4):
        flag = asyncio.Event()
        waiters = [asyncio.create_task(wait(flag)) for _ in range(4)]
        await asyncio.sleep(0)
        flag.set()
        await asyncio.gather(*waiters)
    assert woken[0] == ROUNDS // 4 * 4


async def groups():
    """A failure cancels the siblings, and is reported once."""
    for _ in range(ROUNDS // 4):
        ended = []

        async def sibling(ended=ended):
            try:
                while True:
                    work()
                    await asyncio.sleep(0)
            finally:
                ended.append(1)

        async def fails():
            work()
            await asyncio.sleep(0)
            raise ValueError

        try:
            async with asyncio.TaskGroup() as group:
                siblings = [group.create_task(sibling()) for _ in range(2)]
                group.create_task(fails())
        except* ValueError as failed:
            assert len(failed.exceptions) == 1
        assert len(ended) == 2
        assert all(task.cancelled() for task in siblings)


async def straight_line():
    """Check-then-act without a call or a loop is atomic."""
    box = [0]

    async def add():
        for _ in range(ROUNDS * 5):
            seen = box[0]
            box[0] = seen + 1

    await asyncio.gather(*[add() for _ in range(4)])
    assert box[0] == 4 * ROUNDS * 5


async def logs():
    """Records of 8 Gs are never interleaved."""
    stream = io.StringIO()
    log = logging.getLogger("hammer")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("<%(message)s>"))
    log.addHandler(handler)
    log.propagate = False

    async def write(k):
        for i in range(ROUNDS // 4):
            work()
            log.warning("%d-%d", k, i)

    await asyncio.gather(*[write(k) for k in range(8)])
    log.removeHandler(handler)
    lines = stream.getvalue().splitlines()
    assert sorted(lines) == sorted(f"<{k}-{i}>" for k in range(8) for i in range(ROUNDS // 4))


async def main():
    """Run them all; return how often the CPU was taken from their tasks."""
    taken = 0

    def count(task):
        nonlocal taken
        taken += sum(task.g.preemptions.values())

    def counted(loop, coro, **kwargs):
        task = preemptio.Task(coro, loop=loop, **kwargs)
        task.add_done_callback(count)
        return task

    asyncio.get_running_loop().set_task_factory(counted)
    for part in (queue, exclusion, condition, event, groups, straight_line, logs):
        await asyncio.create_task(part())
    return taken
