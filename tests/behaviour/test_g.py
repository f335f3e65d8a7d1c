"""What a G tells about its task."""

import asyncio
import contextvars

import pytest

import preemptio
from preemptio.lowlevel import Gstatus, PreemptKind, Verdict, WaitReason, all_gs, current_g
from tests.behaviour._support import Flag, parked, spin, turns, waiting

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


async def test_identity():
    """A task has one G for its life; the G knows its task, its name and its number, and numbers only grow."""
    tasks = [preemptio.go(asyncio.sleep, 0, name=f"name {n}") for n in range(3)]
    gs = [task.g for task in tasks]
    assert [g.task for g in gs] == tasks
    assert [g.name for g in gs] == ["name 0", "name 1", "name 2"]
    assert gs[0].id < gs[1].id < gs[2].id
    await asyncio.gather(*tasks)
    assert [task.g for task in tasks] == gs


@pytest.mark.parametrize(
    "create",
    [
        lambda: preemptio.go(asyncio.sleep, 0),
        lambda: asyncio.create_task(asyncio.sleep(0)),
        lambda: asyncio.ensure_future(asyncio.sleep(0)),
        lambda: asyncio.get_running_loop().create_task(asyncio.sleep(0)),
        lambda: asyncio.get_running_loop().create_task(asyncio.sleep(0), context=contextvars.copy_context()),
        lambda: asyncio.Task(asyncio.sleep(0)),
        lambda: preemptio.Task(asyncio.sleep(0)),
        lambda: preemptio.go(lambda: None),
    ],
    ids=["go", "create_task", "ensure_future", "loop.create_task", "with a context", "Task", "our Task", "go function"],
)
async def test_created_at(create):
    """created_at is the user's line that made the task, whichever way it was made."""
    task = create()
    code = create.__code__
    assert task.g.created_at == f"{code.co_filename}:{code.co_firstlineno} in {code.co_qualname}"
    await task


@pytest.mark.uninjected("what a task does in which turn")
async def test_the_status_of_a_life():
    """Made: runnable; in its step: running; at an await: waiting; preempted: runnable and parked; at its end: dead."""
    flag, seen, event = Flag(), [], asyncio.Event()

    async def life():
        seen.append(current_g().status)
        await event.wait()
        spin(flag)
        seen.append(current_g().status)

    task = asyncio.create_task(life())
    g = task.g
    assert g.status is Gstatus.RUNNABLE
    await turns(1)
    assert (g.status, g.parked) == (Gstatus.WAITING, False)
    event.set()
    assert g.status is Gstatus.RUNNABLE or g.status is Gstatus.WAITING
    await parked(task)
    assert (g.status, g.parked) == (Gstatus.RUNNABLE, True)
    assert g in all_gs()
    flag.stop = True
    await task
    assert (g.status, g.parked) == (Gstatus.DEAD, False)
    assert g not in all_gs()
    assert seen == [Gstatus.RUNNING, Gstatus.RUNNING]


@pytest.mark.uninjected("what a task costs by the clock")
async def test_counts_grow():
    """slices, preemptions and cpu_time of a task that computes grow; one that only waits has used next to nothing."""
    flag = Flag()
    waiter = asyncio.create_task(asyncio.Event().wait())
    task = preemptio.go(spin, flag)
    await parked(task)
    g = task.g
    before = g.slices, sum(g.preemptions.values()), g.cpu_time
    while g.slices < before[0] + 5:
        await asyncio.sleep(0)
    flag.stop = True
    await task
    assert sum(g.preemptions.values()) >= before[1] + 4
    assert set(g.preemptions) <= {PreemptKind.ASYNC, PreemptKind.SEEK}
    assert g.cpu_time > before[2] > 0
    assert waiter.g.cpu_time < g.cpu_time / 10
    assert (waiter.g.slices, dict(waiter.g.preemptions)) == (1, {})
    waiter.cancel()
    await asyncio.wait([waiter])


async def test_read_only():
    """The mappings a G shows cannot be written."""
    g = current_g()
    with pytest.raises(TypeError):
        g.preemptions[PreemptKind.SYNC] = 1
    with pytest.raises(TypeError):
        g.refusals[Verdict.MASKED] = 1
    with pytest.raises(AttributeError):
        g.cpu_time = 1.0


@pytest.mark.uninjected("the trace function is what the ticks find")
async def test_refusals():
    """A task that could not be stopped says how often and why."""
    g = current_g()
    with preemptio.nopreempt("why"):
        while g.refusals.get(Verdict.MASKED, 0) < 2:
            pass
    # Another where it asked `refusals`, or where what that made had the collector run.
    assert set(g.refusals) <= {Verdict.MASKED, Verdict.RUNTIME, Verdict.GC}


async def group_of(coro):
    async with asyncio.TaskGroup() as group:
        group.create_task(coro)


async def locked(lock):
    async with lock:
        pass


def plain_wait(event):
    preemptio.wait(event.wait())


@pytest.mark.parametrize(
    ("reason", "make"),
    [
        (WaitReason.SLEEP, lambda _event: asyncio.sleep(60)),
        (WaitReason.EVENT, lambda event: event.wait()),
        (WaitReason.GROUP, lambda event: group_of(event.wait())),
        (WaitReason.GATHER, lambda event: asyncio.wait([asyncio.ensure_future(event.wait())])),
        (WaitReason.QUEUE_GET, lambda _event: asyncio.Queue().get()),
        (WaitReason.SEMAPHORE, lambda _event: asyncio.Semaphore(0).acquire()),
        (WaitReason.WAIT, lambda event: asyncio.ensure_future(asyncio.sleep(60)) and preemptio.go(plain_wait, event)),
    ],
    ids=lambda value: str(value) if isinstance(value, WaitReason) else "made",  # no addresses
)
async def test_wait_reason(reason, make):
    """A waiting G says what for; a running one, nothing."""
    event = asyncio.Event()
    made = make(event)
    task = made if isinstance(made, asyncio.Task) else asyncio.create_task(made)
    await turns(4)
    assert task.g.status is Gstatus.WAITING
    assert task.g.wait_reason is reason
    assert current_g().wait_reason is WaitReason.NONE
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for other in others:
        other.cancel()
    await asyncio.wait(others)
    assert task.g.wait_reason is WaitReason.NONE


async def test_waiting_for_a_lock_and_for_a_task():
    """The reasons that need somebody else: a held lock, another task, a gather."""
    lock, event = asyncio.Lock(), asyncio.Event()
    await lock.acquire()
    inner = asyncio.create_task(event.wait())

    async def awaits(task):
        await task

    async def gathers():
        await asyncio.gather(event.wait(), event.wait())

    tasks = [asyncio.create_task(coro) for coro in (locked(lock), awaits(inner), gathers())]
    await waiting(*tasks)
    assert [task.g.wait_reason for task in tasks] == [WaitReason.LOCK, WaitReason.TASK, WaitReason.GATHER]
    event.set()
    lock.release()
    await asyncio.gather(*tasks)


async def test_dump_in_every_state():
    """dump() and repr() work for a G that runs, waits, is parked, or is dead."""
    flag = Flag()
    hog, done = preemptio.go(spin, flag, name="hog"), asyncio.create_task(asyncio.sleep(0), name="done")
    waiter = asyncio.create_task(asyncio.Event().wait(), name="waiter")
    await parked(hog)
    await done
    for task, word in ((asyncio.current_task(), "running"), (hog, "runnable"), (done, "dead"), (waiter, "waiting")):
        assert word in task.g.dump()
        assert word in repr(task.g)
        assert task.get_name() in task.g.dump()
    flag.stop = True
    await hog
    waiter.cancel()
    await asyncio.wait([waiter])
