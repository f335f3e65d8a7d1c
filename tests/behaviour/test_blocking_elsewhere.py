"""preemptio.blocking on other loops, in other threads and processes, and at the end of its own."""

import asyncio
import linecache
import os
import sys
import threading
from contextvars import ContextVar

import pytest

import preemptio
from tests.behaviour.test_blocking import Call, in_a_coroutine, until

VAR = ContextVar("VAR", default="outside")


def test_a_loop_without_the_runtime():
    """It is asyncio.to_thread: the loop's own executor, waited for at the end."""

    async def main():
        VAR.set("task")
        return await preemptio.blocking(lambda n: (n, VAR.get(), threading.current_thread().name), 1)

    n, var, thread = asyncio.run(main())
    assert (n, var, thread.partition("_")[0]) == (1, "task", "asyncio")


def test_a_loop_in_another_thread(make_loop):
    """It works where there is no tick."""
    found = []

    async def main():
        found.append(await preemptio.blocking(threading.get_ident) != threading.get_ident())

    thread = threading.Thread(target=lambda: preemptio.run(main(), loop_factory=make_loop))
    thread.start()
    thread.join()
    assert found == [True]


def test_what_runs_at_the_end_may_end(make_loop):
    """The shutdown waits for a call whose task was cancelled, and leaves no thread behind."""
    call = Call()

    async def main():
        task = asyncio.create_task(in_a_coroutine(call))
        await until(call.begun.is_set)
        task.add_done_callback(lambda _: call.released.set())

    preemptio.run(main(), loop_factory=make_loop)
    assert call.returned.is_set()
    assert not call.threads[0].is_alive()


def test_the_end_is_bounded(make_loop, capsys):
    """A call that does not end is reported and left, and its own end in a closed loop is silent."""
    call = Call()

    async def main():
        preemptio.go(preemptio.blocking, call)
        await until(call.begun.is_set)

    with preemptio.config.override(grace=0.01):
        preemptio.run(main(), loop_factory=make_loop)
    assert not call.returned.is_set()
    assert "blocking call did not end" in capsys.readouterr().err
    call.released.set()
    assert call.returned.wait(20)
    thread = call.threads[0]
    await_idle(thread)
    assert capsys.readouterr().err == ""


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child(make_loop):
    """It has none of the threads: an idle worker of the parent is not waited for."""
    loop = make_loop()

    async def number():
        return await preemptio.blocking(int, 7)

    assert loop.run_until_complete(number()) == 7
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if loop.run_until_complete(asyncio.wait_for(number(), 10)) == 7 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def await_idle(thread):
    """Return when a worker has posted its last end: it waits for a job then, which it does not get."""
    while "acquire" not in frame_line(thread):
        pass


def frame_line(thread):
    frame = sys._current_frames()[thread.ident]
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno)
