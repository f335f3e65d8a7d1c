"""Deadlock: all Gs are asleep, and nothing is left that could wake one.

Problem. Two tasks wait for each other's lock, or for a queue that nobody fills. The program hangs in `select`, says
nothing, and uses no CPU.

Why it is not as in Go. There a deadlock is fatal, as nothing but goroutines can wake a goroutine. Here a thread can, by
`call_soon_threadsafe`; a signal handler can; C code can that keeps a future. So it is reported, and nothing is raised.
And it must not be reported where somebody might come: a server that waits for a connection is asleep, too.

The rule. It is looked at when the loop is about to wait without a bound, and reported, once a run, if all this holds:

- nothing is ready, no timer is set, no step is parked;
- there is at least one G, and every G waits for a future that is pending and that no future of a thread completes;
- no descriptor is registered with the loop but those by which it wakes itself, and no signal handler;
- no call of `preemptio.blocking` runs;
- the program has no other thread, but those of ours and idle ones of a thread pool, nor, on Linux, one without Python;
- the program has no handler of its own for a signal: what ends it, as Ctrl-C, does not count.

A G that could go on if it were not suspended is let go by then, and nothing else is said, if tasks of this loop alone
hold it: they are all asleep, so none of them will. A task that awaits what it holds comes to its end that way.

So a program with sockets, with a thread of its own, or with a library that has threads of its own (BLAS), is not told.
What holds for all others is what Go asks; so it is on without being asked for.

Not seen. uvloop waits in C: there it is looked at a second after the last step, on Linux, by what its epoll object has
registered; not without a tick (PREEMPTIO_SOURCE=none), nor elsewhere. A thread that ends without a word after the loop
has gone to sleep: nobody looks again. Other loops.

Cost: nothing while the loop has a timer or something to do; half a microsecond when it waits for I/O alone.

Context: the loop's thread, outside of steps.
"""

from __future__ import annotations

import concurrent.futures.thread
import contextlib
import gc
import os
import socket
import sys
import threading
from collections import Counter
from typing import Any

from preemptio._aio._cancels import of_a_thread
from preemptio._aio._inspect import all_gs
from preemptio._aio._leaks import waits_for
from preemptio._aio._runtime import ON_START
from preemptio._aio._shares import free_all, held_in
from preemptio._log import report_deadlock
from preemptio._observe._dump import text_of
from preemptio._observe._signals import could_wake
from preemptio._observe._snapshot import snapshot
from preemptio._observe._waits import waits

OWN_THREADS = "preemptio-"


class DeadlockWatch:
    """Looks at one loop when it goes to sleep."""

    def __init__(self, loop: Any) -> None:
        """Look at nothing yet."""
        self._loop = loop

    def __call__(self) -> bool:
        """Report a deadlock if there is one: True if there is."""
        loop = self._loop
        if loop._workers.running or loop._workers.queued or _has_io(loop) or _has_threads() or could_wake():
            return False
        gs = all_gs(loop)
        if not gs or loop._p.parked.heap or loop.backlog():
            return False
        awake = [g for g in gs if not _is_asleep(g)]
        if awake:
            shares = Counter(g for _, g in held_in(loop))
            held = all(g.suspended and g._extra.hold.readers == shares[g] for g in awake)
            return held and free_all(loop)
        loop.on_asleep = None
        loop.call_soon(self._report)
        return True

    def _report(self) -> None:
        graph = waits(loop=self._loop)
        cycles = [" -> ".join([*each, each[0]]) for each in graph.cycles]
        report_deadlock(len(all_gs(self._loop)), cycles, text_of([snapshot(self._loop, 0)]))


def _is_asleep(g: Any) -> bool:
    future = waits_for(g)
    return future is not None and not of_a_thread(future)


def _has_io(loop: Any) -> bool:
    """Report whether somebody waits for a descriptor or a signal, as far as can be seen; True where it cannot."""
    selector = getattr(loop, "_selector", None)
    wakeups = loop._ticker._wakeups._read
    if selector is not None:
        registered: Any = getattr(selector, "get_map", dict)()
        own = {loop._ssock.fileno(), wakeups} if getattr(loop, "_ssock", None) is not None else set()
        return not registered or any(fd not in own for fd in registered) or bool(loop._signal_handlers)
    tables = (each for each in gc.get_referents(loop) if type(each) is dict and each is not vars(loop))
    on_signals = any(type(value).__name__ == "Handle" for table in tables for value in table.values())
    return on_signals or _has_io_in_c(loop, wakeups)


def _has_io_in_c(loop: Any, wakeups: int) -> bool:
    """The same for uvloop, which has an eventfd, a pipe and a pair of sockets of its own in its epoll object."""
    own = {wakeups, *(each.fileno() for each in gc.get_referents(loop) if type(each) is socket.socket)}
    try:
        with open(f"/proc/self/fdinfo/{loop._get_backend_id()}") as info:
            fds = [int(line.split()[1]) for line in info if line.startswith("tfd:")]
        unknown = sorted(os.readlink(f"/proc/self/fd/{fd}").partition("[")[0] for fd in fds if fd not in own)
    except (OSError, AttributeError):
        return True
    return unknown not in (["anon_inode:"], ["anon_inode:", "pipe:"])


def _has_threads() -> bool:
    """Report whether a thread is there that might call the loop."""
    here, named = threading.get_ident(), {each.ident: each.name for each in threading.enumerate()}
    running = sys._current_frames()
    for ident, frame in running.items():
        if ident == here or named.get(ident, "").startswith(OWN_THREADS):
            continue
        if frame.f_code is not concurrent.futures.thread._worker.__code__ or _has_work(ident):
            return True
    with contextlib.suppress(OSError):
        return len(os.listdir("/proc/self/task")) > len(running)
    return False


def _has_work(ident: int) -> bool:
    """Report whether a thread of a pool is about to take something out of its queue."""
    queues: Any = getattr(concurrent.futures.thread, "_threads_queues", {})
    found = [work for thread, work in list(queues.items()) if thread.ident == ident]
    return not found or any(not work.empty() for work in found)


def _start(loop: Any) -> None:
    loop.on_asleep = DeadlockWatch(loop)


ON_START.append(_start)
