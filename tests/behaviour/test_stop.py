"""Loops that are stopped and run again while tasks of theirs are parked."""

import asyncio

import pytest

import preemptio
from tests.behaviour._support import Flag, parked, preempted, spin

pytestmark = pytest.mark.loop


@pytest.fixture
def loop(make_loop):
    loop = make_loop()
    yield loop
    loop.close()


async def start(flag, n):
    tasks = [preemptio.go(spin, flag) for _ in range(n)]
    await parked(*tasks)
    return tasks


async def until_slices(task, more):
    limit = task.g.slices + more
    while task.g.slices < limit:
        await asyncio.sleep(0)


async def nothing():
    pass


def test_runs_again_and_again(loop):
    """Tasks parked at the end of one run_until_complete() go on in the next one, and end in the last."""
    flag = Flag()
    tasks = loop.run_until_complete(start(flag, 3))
    for _ in range(5):
        before = [task.g.slices for task in tasks]
        assert all(task.g.parked for task in tasks)
        loop.run_until_complete(nothing())
        loop.run_until_complete(until_slices(tasks[0], 2))
        assert tasks[0].g.slices > before[0]
    flag.stop = True
    assert all(loop.run_until_complete(asyncio.gather(*tasks)))


def test_nothing_runs_between(loop):
    """A parked task computes only while its loop runs: the tick is off in between."""
    flag = Flag()
    (task,) = loop.run_until_complete(start(flag, 1))
    slices, count = task.g.slices, preempted(task)
    for _ in range(1_000_000):
        pass
    assert (task.g.slices, preempted(task)) == (slices, count)
    flag.stop = True
    assert loop.run_until_complete(task)


def test_stop_by_a_callback(loop):
    """stop() ends run_forever() while tasks compute."""
    flag = Flag()
    tasks = loop.run_until_complete(start(flag, 3))
    for _ in range(3):
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.call_later(0.003, loop.stop)
        loop.run_forever()
    assert not any(task.done() for task in tasks)
    flag.stop = True
    loop.run_until_complete(asyncio.gather(*tasks))


def test_stop_by_a_task_that_was_preempted(loop):
    """stop() called in the later part of a preempted step ends the run."""
    flag = Flag()

    def hog():
        spin(flag)
        loop.stop()
        return "went on to the end of its step"

    async def begin():
        task = preemptio.go(hog)
        await parked(task)
        return task

    task = loop.run_until_complete(begin())
    flag.stop = True
    loop.run_forever()
    assert loop.run_until_complete(task) == "went on to the end of its step"


@pytest.mark.uninjected("the order of turns")
def test_stop_runs_what_was_ready(base, make_loop):
    """What still runs in the turn of stop(), and what waits for the next run, is the same as on the stock loop."""

    def record(loop):
        async def step(name):
            seen.append(name)
            await asyncio.sleep(0)
            seen.append(f"{name} again")

        seen = []
        loop.call_soon(loop.stop)
        loop.call_soon(lambda: (seen.append("ready"), loop.call_soon(seen.append, "later")))
        task = loop.create_task(step("task"))
        loop.run_forever()
        seen.append("second run")
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.run_until_complete(task)
        loop.close()
        return seen

    assert record(make_loop()) == record(base())


def test_a_runtime_error_for_a_second_run(loop):
    """Running a loop that runs is refused as asyncio refuses it, and does no harm."""

    async def main():
        coro = nothing()
        with pytest.raises(RuntimeError):
            loop.run_until_complete(coro)
        coro.close()
        await asyncio.sleep(0)
        return 1

    assert loop.run_until_complete(main()) == 1


def test_system_exit_of_a_preempted_task(loop):
    """SystemExit out of a task that was preempted ends the run; others go on in the next."""
    flag, other_flag = Flag(), Flag()

    def leaves():
        spin(flag)
        raise SystemExit(3)

    async def begin():
        tasks = [preemptio.go(leaves), preemptio.go(spin, other_flag)]
        await parked(*tasks)
        return tasks

    leaver, other = loop.run_until_complete(begin())
    flag.stop = True
    with pytest.raises(SystemExit):
        loop.run_forever()
    with pytest.raises(SystemExit):
        leaver.result()
    other_flag.stop = True
    assert loop.run_until_complete(other)


def test_two_loops_by_turns(make_loop):
    """Two loops of one thread, run by turns, keep their parked tasks apart."""
    loops, flag = [make_loop(), make_loop()], Flag()
    tasks = [loop.run_until_complete(start(flag, 2)) for loop in loops]
    for _ in range(3):
        for loop, (one, _) in zip(loops, tasks, strict=True):
            loop.run_until_complete(until_slices(one, 2))
    flag.stop = True
    for loop, both in zip(loops, tasks, strict=True):
        assert all(loop.run_until_complete(asyncio.gather(*both)))
        loop.close()
