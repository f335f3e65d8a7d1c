"""Worker threads for blocking calls: one loop's, so many at most, and none that the end of the program waits for.

Problem. A thread cannot be ended from outside. So whoever waits for all threads may wait for ever, and whoever gives
each call a thread of its own has ten thousand of them when ten thousand requests come.

What does not work. The loop's default executor. It has a thread per CPU and four more, which name look-ups and
`asyncio.to_thread` share: a few calls that wait long stop those, too. Its threads are joined at the end, by asyncio for
minutes or for ever, and once more by concurrent.futures when the interpreter ends: one stuck call, and the program
hangs.

What we do. A job is handed to an idle worker, or to a new one up to the limit; beyond that jobs wait, in order. They
wait in the loop's thread, so one that is not wanted any more is taken out without a race. A worker sleeps in a lock of
its own: to hand over a job is to write a field and to release that lock. One that is idle for IDLE seconds ends.
Workers are daemons. When the loop is shut down, calls that still run have the knob `grace` to end, so that what was
being written is written; those that are left are reported, and left.

A job whose task is gone keeps its place among the running until its thread is back: what limits threads counts threads.
The limit is trio's and anyio's; it is a knob, since calls that wait for one another need more of them.

Invariants.
  W1  `running` and `queued` are written in the loop's thread only; jobs are queued only while the limit is reached.
  W2  A worker is in `idle`, or it has a job, or one is coming. Both ways out of `idle` are one atomic operation: `pop`
      in the loop's thread, `remove` in the worker that has slept long enough. Whoever succeeds decides.
  W3  A worker touches neither G nor future: it calls, and posts the end to the loop. If the loop was closed meanwhile,
      nobody hears of it.
  W4  A forked child has none of the threads; the first job there starts afresh, and a call that returns in the child
      ends its thread.

Context: `Workers` in the loop's thread; `Worker.run` and `Job.call` in the worker.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
from collections.abc import Callable
from typing import Any, Final

IDLE: Final = 10.0
"""Seconds after which a worker without a job ends."""

JOIN: Final = 1.0
"""Seconds within which a worker that was dismissed has ended: it has only to return."""

_number = itertools.count(1).__next__

Post = Callable[..., None]
"""Calls a function with arguments from the loop soon; from any thread, and without an error if the loop is closed."""


class Job:
    """One call, and what came of it."""

    __slots__ = ("_fn", "_on_end", "error", "name", "result")

    def __init__(self, name: str, fn: Callable[[], Any], on_end: Callable[[], None]) -> None:
        """Prepare to call `fn` in a worker, then `on_end` in the loop's thread. `name` is what logs say."""
        self.name = name
        self._fn: Callable[[], Any] | None = fn
        self._on_end = on_end
        self.result: Any = None  # the worker writes these two before it posts, the loop's thread reads them after
        self.error: BaseException | None = None

    def call(self) -> None:
        """Call the function; keep what it returns or raises. In the worker."""
        fn, self._fn = self._fn, None  # nor does the job keep the arguments alive any longer
        assert fn is not None
        try:
            self.result = fn()
        except BaseException as exc:  # SystemExit and the like, too: they are the caller's, not this thread's
            self.error = exc.with_traceback(exc.__traceback__ and exc.__traceback__.tb_next)  # without this frame
        finally:
            del self  # the function's frame refers to this one: job and error would keep each other alive

    def end(self) -> None:
        """Tell whoever waits. In the loop's thread."""
        self._on_end()


class Worker:
    """One thread."""

    __slots__ = ("_ended", "_idle", "_job", "_pid", "_wake", "thread")

    def __init__(self, idle: list[Worker], ended: Callable[[Job], None]) -> None:
        """Make a worker that puts itself into `idle` when it has nothing to do, and passes on each job that ended."""
        self._idle = idle
        self._ended = ended
        self._job: Job | None = None  # written by whoever gives it; None then means: end
        self._wake = threading.Lock()
        self._wake.acquire()
        self._pid = os.getpid()
        self.thread = threading.Thread(target=self.run, name=f"preemptio-blocking-{_number()}", daemon=True)

    def give(self, job: Job | None) -> None:
        """Hand over a job, or None to end. In the loop's thread, which has taken the worker out of `idle`, or made it.

        Raises:
            RuntimeError: the system has no thread to give.
        """
        self._job = job
        if self.thread.ident is None:
            self.thread.start()
        else:
            self._wake.release()

    def run(self) -> None:
        """Do jobs until there are none for a while. In the worker."""
        while True:
            job, self._job = self._job, None
            if job is None:
                return
            job.call()
            if os.getpid() != self._pid:
                return
            self._idle.append(self)  # before the loop hears of it: the next job finds this worker
            self._ended(job)
            del job
            if not self._wake.acquire(timeout=IDLE):
                try:
                    self._idle.remove(self)
                except ValueError:  # it was taken in this instant: a job is coming
                    self._wake.acquire()
                else:
                    return


class Workers:
    """The workers of one loop."""

    def __init__(self, post: Post, limit: int) -> None:
        """Start with none. `limit`: how many jobs may run at a time."""
        self._post = post
        self._limit = limit
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._idle: list[Worker] = []
        self.running: set[Job] = set()
        self.queued: dict[Job, None] = {}  # in order
        self._all_ended: asyncio.Future[None] | None = None

    def start(self, job: Job) -> None:
        """Run a job in a worker, at once or when its turn comes.

        Raises:
            RuntimeError: the system has no thread to give. The job is forgotten.
        """
        if self._pid != os.getpid():
            self._forget()
        if len(self.running) >= self._limit:
            self.queued[job] = None
        else:
            self._run(job)

    def drop(self, job: Job) -> None:
        """Forget a job that is still queued; one that runs, runs on."""
        self.queued.pop(job, None)

    def _run(self, job: Job) -> None:
        try:
            worker = self._idle.pop()
        except IndexError:
            worker = Worker(self._idle, self._post_end)
        worker.give(job)
        self.running.add(job)

    def _post_end(self, job: Job) -> None:
        """Pass on that a job has ended. In the worker."""
        self._post(self._end, job)

    def _end(self, job: Job) -> None:
        self.running.discard(job)
        while self.queued and len(self.running) < self._limit:
            following = next(iter(self.queued))
            del self.queued[following]
            try:
                self._run(following)
            except RuntimeError as exc:
                following.error = exc
                following.end()
        if self._all_ended is not None and not self.running and not self._all_ended.done():
            self._all_ended.set_result(None)
        job.end()

    async def shut_down(self, grace: float) -> list[str]:
        """Give what runs `grace` seconds to end, and end the idle workers; return the names of what runs still."""
        if self._pid != os.getpid():
            self._forget()
        if self.running:
            self._all_ended = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._all_ended], timeout=grace)
            self._all_ended = None
        dismissed = []
        while self._idle:
            worker = self._idle.pop()
            worker.give(None)
            dismissed.append(worker.thread)
        for thread in dismissed:
            thread.join(JOIN)
        return sorted(job.name for job in self.running)
