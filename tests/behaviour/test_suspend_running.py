"""suspend_g of one that runs: asked by the ticks alone, by several at once, in vain, and where it is set aside."""

import asyncio
import ctypes
import sys
import threading
import time

import pytest
import structlog.testing

import preemptio
from preemptio._preempt._suspend import Suspends
from preemptio.lowlevel import Gstatus, current_g
from tests.behaviour._support import turns

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]

ATTEMPTS = 5


class Asker:
    """A thread that suspends and resumes a task."""

    def __init__(self, task, timeout=None):
        self.state = self.error = None
        self.let_go = threading.Event()
        self._task, self._timeout = task, timeout
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            self.state = preemptio.suspend_g_threadsafe(self._task, self._timeout)
        except TimeoutError as exc:
            self.error = exc
            return
        self.let_go.wait(60)
        preemptio.resume_g(self.state)


def busy_until(condition):
    """Compute, in a region that is not preempted."""
    while not condition():
        pass


@pytest.mark.uninjected("where it is stopped, and how often it gets the CPU")
async def test_several_ask_for_it():
    """It stops for one of them, and all share that hold: each is told that it was stopped; it goes on with the last."""
    loop, began, over = asyncio.get_running_loop(), threading.Event(), []

    def body():
        began.set()
        with preemptio.nopreempt("test"):
            busy_until(lambda: len(loop._suspends.inbox) == 3)
            ticks = loop._p.carrier.preempt_gen
            busy_until(lambda: loop._p.carrier.preempt_gen > ticks)  # else it may be stopped for its turn only
        while not over:
            pass

    def ask():
        began.wait(60)
        return [Asker(task) for _ in range(3)]

    task = preemptio.go(body)
    starter = []
    thread = threading.Thread(target=lambda: starter.extend(ask()))
    thread.start()
    while len(starter) < 3 or not all(each.state for each in starter):
        await asyncio.sleep(0.001)
    slices = task.g.slices
    hold = task.g._extra.hold
    assert hold.readers == 3
    for each in starter:
        assert (each.state.stopped, each.state._hold is hold, task.g.slices) == (True, True, slices)
        assert (task.g.preempt, task.g.preempt_stop) == (False, False)
        each.let_go.set()
        await preemptio.blocking(each.thread.join)
    over.append(True)
    await task
    thread.join()
    assert not task.g.suspended


@pytest.mark.uninjected("the ticks of a region that is not preempted")
async def test_nobody_asks_but_the_tick(monkeypatch):
    """While it cannot be stopped a request is looked at by no one; each tick is one attempt, and says so."""
    looks, loop = [], asyncio.get_running_loop()
    grant = Suspends._grant

    def counted(self, request):
        looks.append(request)
        return grant(self, request)

    def stopped_in_vain():
        carrier = loop._p.carrier
        busy_until(lambda: loop._suspends.inbox)
        before = carrier.preempt_gen
        busy_until(lambda: carrier.preempt_gen >= before + ATTEMPTS)
        asked.append(len(looks))

    asked, over, began = [], [], threading.Event()

    def body():
        with preemptio.nopreempt("test"):
            began.set()
            stopped_in_vain()
        while not over:
            pass

    def ask():
        began.wait(60)
        asker.append(Asker(task))

    monkeypatch.setattr(Suspends, "_grant", counted)
    asker = []
    task = preemptio.go(body)
    thread = threading.Thread(target=ask)
    thread.start()
    while not asker or asker[0].state is None:
        await asyncio.sleep(0.001)
    over.append(True)
    asker[0].let_go.set()
    await task
    thread.join()
    asker[0].thread.join()
    assert asked == [0]  # not even one, before it could be granted
    assert 1 <= len(looks) <= 3
    assert asker[0].state.stopped


@pytest.mark.skipif(sys.platform != "linux", reason="the C call that waits is of Linux's C library")
async def test_a_long_call_of_c_code():
    """It cannot be stopped: the thread is told when its time is up, and the task is not stopped for it afterwards."""
    library = ctypes.CDLL(None)
    barrier = ctypes.create_string_buffer(64)  # pthread_barrier_wait goes on after a signal, and polls for none
    library.pthread_barrier_init(barrier, None, 2)
    inside = threading.Event()

    def body():
        inside.set()
        library.pthread_barrier_wait(barrier)
        for _ in range(3):
            preemptio.checkpoint()
        return "done"

    def ask():
        inside.wait(60)
        asker.append(Asker(task, timeout=0.05))
        asker[0].thread.join()
        library.pthread_barrier_wait(barrier)

    asker = []
    with structlog.testing.capture_logs():  # it is reported, once a place
        task = preemptio.go(body)
        thread = threading.Thread(target=ask)
        thread.start()
        assert await task == "done"
        await preemptio.blocking(thread.join)
    assert "could not be stopped within 0.05 s" in str(asker[0].error)
    loop = asyncio.get_running_loop()
    assert not loop._suspends._kept
    assert not loop._suspends.inbox
    assert (task.g.preempt_stop, task.g.suspended) == (False, False)


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="nothing is set aside here")
@pytest.mark.uninjected("that it is set aside")
async def test_one_that_is_set_aside_in_its_call():
    """Its call ends while it is held; it goes on when it is let go, once."""
    told, after = threading.Lock(), []
    told.acquire()

    def body():
        told.acquire()
        after.append(current_g().slices)

    task = preemptio.go(body)
    while task.g.status is not Gstatus.SYSCALL:
        assert not task.done()
        await asyncio.sleep(0.001)
    async with preemptio.suspended(task) as state:
        assert state.status is Gstatus.SYSCALL
        assert not state.stopped
        slices = task.g.slices
        told.release()
        await asyncio.sleep(0.05)  # it would be looked at several times
        assert (task.g.slices, task.g.status, after) == (slices, Gstatus.SCANSYSCALL, [])
    await task
    assert len(after) == 1


async def test_an_eager_child_cannot_suspend_itself():
    """Whose step it is makes no difference."""
    said = []

    async def child():
        with pytest.raises(RuntimeError, match="cannot suspend itself") as caught:
            await preemptio.suspend_g(asyncio.current_task())
        said.append(str(caught.value))

    if not hasattr(asyncio, "eager_task_factory"):
        await asyncio.create_task(child())
    else:
        await asyncio.eager_task_factory(asyncio.get_running_loop(), child())
    assert said


async def test_who_asks_may_be_held_and_preempted_meanwhile():
    """A hundred times each, of one another, and of one that computes: nobody is lost, and nobody holds who is held."""
    over = []

    def spin():
        while not over:
            pass

    hog = preemptio.go(spin)
    tasks = []

    async def body(me):
        for n in range(100):
            target = [*tasks, hog][(me + n) % 4]
            if target is not tasks[me]:
                async with preemptio.suspended(target) as state:
                    assert not current_g().suspended
                    slices = state.g.slices
                    sum(range(1000 * (n % 3)))
                    await turns(n % 3)
                    assert state.dead or state.g.slices == slices
            await asyncio.sleep(0)

    with preemptio.nopreempt("they begin when all are there"):
        tasks += [asyncio.create_task(body(me)) for me in range(3)]
    await asyncio.gather(*tasks)
    over.append(True)
    await hog
