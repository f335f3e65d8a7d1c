"""Liveness: while tasks compute, everything else goes on."""

import asyncio
import socket

import pytest
import pytest_asyncio

import preemptio
from tests.behaviour._support import Flag, parked, preempted, spin, turns

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


@pytest_asyncio.fixture
async def hogs():
    """Four tasks that compute, all of them preempted already, and stopped at the end."""
    flag = Flag()
    tasks = [preemptio.go(spin, flag) for _ in range(4)]
    await parked(*tasks)
    yield tasks
    flag.stop = True
    assert all(await asyncio.gather(*tasks))


async def test_tasks_get_turns(hogs):
    """A task that yields gets every one of its turns while others compute."""
    await turns(200)
    assert not any(hog.done() for hog in hogs)


async def test_timers_fire(hogs):
    """Timers fire in their order while others compute. None has no delay: on uvloop that is a callback, not a timer."""
    fired = []
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    for n in range(1, 6):
        loop.call_later(n / 500, fired.append, n)
    loop.call_later(6 / 500, done.set)
    await done.wait()
    assert fired == [1, 2, 3, 4, 5]
    assert not any(hog.done() for hog in hogs)


async def test_sockets_are_served(hogs):
    """An echo over a socket makes its rounds while others compute."""
    here, there = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=here)
    echo_reader, echo_writer = await asyncio.open_connection(sock=there)

    async def echo():
        while line := await echo_reader.readline():
            echo_writer.write(line)

    server = asyncio.create_task(echo())
    for n in range(20):
        writer.write(b"%d\n" % n)
        assert await reader.readline() == b"%d\n" % n
    assert not any(hog.done() for hog in hogs)
    writer.close()
    await server
    echo_writer.close()


async def test_a_lone_task_that_computes_is_not_slowed_by_preemption_of_nobody():
    """When a task computes alone it is given the CPU again each time that it gives way."""

    def hog(me):
        while preempted(me[0]) < 3:
            pass
        return True

    me = []
    me.append(preemptio.go(hog, me))
    assert await me[0]


async def test_hogs_all_progress(hogs):
    """Tasks that compute take turns: each is resumed again and again."""
    before = [hog.g.slices for hog in hogs]
    while not all(hog.g.slices >= was + 3 for hog, was in zip(hogs, before, strict=True)):
        await asyncio.sleep(0)
    assert not any(hog.done() for hog in hogs)


async def test_a_plain_coroutine_is_preempted_where_it_computes():
    """A loop written in an `async def` itself, and one in a function that it calls, are preempted alike."""
    flag = Flag()

    async def inline():
        n = 0
        while not flag.stop:
            n += 1
        return n

    async def calling():
        return spin(flag)

    tasks = [asyncio.create_task(inline()), asyncio.create_task(calling())]
    await parked(*tasks)
    flag.stop = True
    await asyncio.gather(*tasks)
    assert all(preempted(task) for task in tasks)


async def test_a_handle_that_waits_is_not_called_quiet():
    """A resumed step that schedules a callback, as any other would find it waiting, must make room for it."""
    loop = asyncio.get_running_loop()

    def schedules(me):
        while not preempted(me[0]):
            pass
        loop.call_soon(lambda: None)
        return loop.quiet()

    me = []
    me.append(preemptio.go(schedules, me))
    assert await me[0] is False
