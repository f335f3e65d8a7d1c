"""One recorder a loop: started, asked for what it has, stopped; and what makes it write by itself.

Problem. When something was slow it is too late to begin to record. A recorder that is always on has it, if it is
asked in time: the ring forgets.

What we do. A slice that took too long, or a signal, has the ring copied by the loop, soon after; a thread writes the
file. What comes more often than the ring is long would show the same again, and is left out; after `MOST` files the
recorder writes no more by itself.

The handler of the signal is the loop's own, which only wakes the loop. A step that never ends lets nothing be dumped
that way; `dump` may be called in another thread.

Context: `start` and `stop` in the loop's thread, or any while the loop does not run; `dump` and `recordings` in any.
"""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from preemptio._aio._inspect import LOOPS, gs_of
from preemptio._aio._instruments import table_of
from preemptio._aio._runtime import ON_START
from preemptio._config import config
from preemptio._errors import NotInstalledError
from preemptio._log import report_trace, report_trace_failed
from preemptio._observe._trace._chrome import to_chrome
from preemptio._observe._trace._file import Standing, Stream, Trace, write
from preemptio._observe._trace._perfetto import to_perfetto
from preemptio._observe._trace._recorder import NEVER, Recorder
from preemptio._observe._trace._ring import LEAST, Ring

if TYPE_CHECKING:
    from preemptio._core._g import G

MOST: Final = 20
"""Files that one recorder writes by itself."""

STANDING: Final = 10_000
"""Tasks whose state is asked at a snapshot: each takes some microseconds of the loop's time."""


@dataclass(frozen=True)
class Recording:
    """The state of a recorder: what it has, and what it may have."""

    loop: str
    since: float
    """Seconds for which it has recorded."""
    seconds: float
    """How long it keeps what it has recorded."""
    bytes: int
    max_bytes: int
    dropped: int
    """Records that had to go."""


class Flight(Recorder):
    """The recorder of one loop."""

    def __init__(self, loop: Any, seconds: float, max_bytes: int, slow: float | None, signum: int, place: str) -> None:
        """Take the settings as `start` has checked them."""
        ring = Ring(max_bytes, int(seconds * 1e9))
        super().__init__(loop._p, ring, NEVER if slow is None else int(slow * 1e9), self._slow_step)
        self.ring = ring
        self.loop = loop
        self.seconds = seconds
        self.max_bytes = max_bytes
        self.signum = signum
        self._place = place
        self._next = 0.0  # monotonic time from which on it may write by itself
        self._written = 0

    def stream(self) -> Stream:
        """Copy what there is. Any thread."""
        ended, wall = time.perf_counter_ns(), time.time_ns()
        running = self.running()
        chunks = self.ring.chunks()
        standing = [_standing(g) for g in gs_of(self.loop)[:STANDING]]
        return Stream(
            loop=f"{type(self.loop).__name__} {id(self.loop):#x}",
            began=self.began,
            ended=ended,
            wall=wall,
            dropped=self.ring.dropped,
            standing=standing,
            running=None if running is None else (running[0].id, running[1]),
            chunks=chunks,
        )

    def watch_signal(self) -> None:
        """Have the loop call back for the signal."""
        self.loop.add_signal_handler(self.signum, self._by_itself, "signal", "")

    def _slow_step(self, g: G, nanoseconds: int) -> None:
        """Have the ring written, soon. In a hook."""
        if time.monotonic() >= self._next:
            self._p.host.post(self._by_itself, "slow", f"G {g.id} had the CPU for {nanoseconds / 1e9:.3f} s")

    def _by_itself(self, cause: str, why: str) -> None:
        """Copy the ring, and have a thread write it. In the loop."""
        if time.monotonic() < self._next or self._written >= MOST:
            return
        self._written += 1
        self._next = time.monotonic() + (self.seconds if cause == "slow" else 0)
        path = os.path.join(self._place, f"preemptio-{os.getpid()}-{cause}-{self._written}.ptrace")
        trace = trace_of([self])
        # Not a daemon: at the program's end the file is completed.
        threading.Thread(target=_write, args=(trace, path, why), name="preemptio-trace").start()


def _write(trace: Trace, path: str, why: str) -> None:
    """Write a file that nobody has asked for, and say so. In a thread of its own."""
    try:
        write(path, trace.to_bytes())
    except OSError as exc:
        report_trace_failed(path, exc)
    else:
        report_trace(path, why)


def _standing(g: G) -> Standing:
    try:
        return Standing(g.id, g.name, g.created_at, int(g.status), str(g.wait_reason))
    except Exception:  # the task's class is the user's
        return Standing(g.id, f"G-{g.id}", "", int(g.status), "")


def flight_of(loop: Any) -> Flight | None:
    """Return the recorder of a loop, if it has one. Any thread."""
    for each in loop._p.instruments:
        if isinstance(each, Flight):
            return each
    return None


def flights(loop: Any = None) -> list[Flight]:
    """Return the recorders of one loop, or of all."""
    if loop is not None and not hasattr(loop, "_p"):
        raise NotInstalledError(f"{loop!r} is not a loop of preemptio: start the program by preemptio.run(main())")
    found = [flight_of(each) for each in ([loop] if loop is not None else list(LOOPS))]
    return sorted((each for each in found if each is not None), key=lambda flight: flight.began)


def trace_of(recorders: list[Flight]) -> Trace:
    """Take a trace from some recorders."""
    streams = [flight.stream() for flight in recorders]
    return Trace(pid=os.getpid(), python=platform.python_version(), streams=streams)


def save(trace: Trace, path: str) -> None:
    """Write a trace in the format that the path's ending names.

    Raises:
        OSError: the file cannot be written.
        UnsupportedError: Perfetto's format, without its package.
    """
    ending = os.path.splitext(path)[1]
    make = {".json": to_chrome, ".pftrace": to_perfetto, ".perfetto-trace": to_perfetto}.get(ending, Trace.to_bytes)
    write(path, make(trace))


def start(
    seconds: float = 10.0,
    max_bytes: int = 16 << 20,
    *,
    loop: Any = None,
    slow: float | None = None,
    signum: int | None = None,
    directory: str = ".",
) -> None:
    """Record what the scheduler of a loop does, from now on, in memory: the last seconds, in bounded space.

    Args:
        seconds: how long to keep what happened; what is older may go.
        max_bytes: bytes that the recording may take. When they are used up the oldest goes, however young. A dump
            takes as much again while it is written.
        loop: by default the loop that runs in this thread.
        slow: seconds; a G that has the CPU for so long at a time has the recording written to a file.
        signum: a signal that has it written to a file, for example `signal.SIGUSR1`.
        directory: where such files go; their names are logged.

    Raises:
        ValueError: a number is out of range.
        RuntimeError: the loop is recorded already, or runs in another thread; or `signum` is given outside of the
            main thread.
        NotInstalledError: no loop runs in this thread, or the loop has no runtime.

    Context: the loop's thread, or any while the loop does not run.

    Source: Go's runtime/trace.FlightRecorder.

    Example:
        >>> import asyncio, preemptio
        >>> from preemptio import trace
        >>> async def main():
        ...     trace.start(seconds=5)
        ...     await asyncio.sleep(0)
        ...     print(trace.recordings()[0].max_bytes)
        ...     trace.stop()
        >>> preemptio.run(main())
        16777216
    """
    table = table_of(loop, "trace.start", "loop=loop")
    if not 0 < seconds <= 86_400:
        raise ValueError(f"seconds is {seconds!r}, not from 0 to 86400; type, for example: trace.start(seconds=10)")
    if max_bytes < LEAST:
        raise ValueError(f"max_bytes is {max_bytes!r}, less than {LEAST}; type, for example: max_bytes=16 << 20")
    if slow is not None and not slow > 0:
        raise ValueError(f"slow is {slow!r}, not a number of seconds; type, for example: slow=0.1")
    host = table.host
    if flight_of(host) is not None:
        raise RuntimeError("this loop is recorded already; type trace.stop() first, or trace.dump(path)")
    flight = Flight(host, seconds, max_bytes, slow, int(signum or 0), directory)
    if signum is not None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("signals come to the main thread only; leave signum out, and call trace.dump(path)")
        flight.watch_signal()
    table.add(flight)


def stop(loop: Any = None) -> bool:
    """Record no more, and forget what was recorded; report whether there was a recorder.

    Args:
        loop: by default the loop that runs in this thread.

    Raises:
        NotInstalledError, RuntimeError: as `start`.

    Context: as `start`.

    Example:
        >>> import preemptio
        >>> from preemptio import trace
        >>> async def main():
        ...     print(trace.stop())
        >>> preemptio.run(main())
        False
    """
    table = table_of(loop, "trace.stop", "loop")
    flight = flight_of(table.host)
    if flight is None:
        return False
    if flight.signum and not table.host.is_closed():
        table.host.remove_signal_handler(flight.signum)
    return table.remove(flight)


def dump(path: str | os.PathLike[str], loop: Any = None) -> str:
    """Write what has been recorded to a file; the recorders go on.

    The ending says the format: `.json` for Chrome's trace-event format, `.pftrace` for Perfetto's (`pip install
    'preemptio[perfetto]'`), anything else, such as `.ptrace`, for our own, which is written fastest and which
    `preemptio trace convert` makes into the others. In a program that must not stand still, write `.ptrace`.

    Args:
        path: the file; it appears when it is complete.
        loop: whose recording; by default those of all loops of this process, in one file.

    Returns:
        str: the path.

    Raises:
        RuntimeError: nothing is recorded.
        OSError: the file cannot be written. The recording is as it was.
        UnsupportedError: Perfetto's format, without its package.

    Context: any thread, also while the loop is busy.

    Source: Go's FlightRecorder.WriteTo.

    Example:
        >>> import os, tempfile, preemptio
        >>> from preemptio import trace
        >>> async def main():
        ...     trace.start()
        ...     with tempfile.TemporaryDirectory() as place:
        ...         path = trace.dump(f"{place}/last.json")
        ...         print(os.path.basename(path), os.path.getsize(path) > 100)
        ...     trace.stop()
        >>> preemptio.run(main())
        last.json True
    """
    recorders = flights(loop)
    if not recorders:
        raise RuntimeError("nothing is recorded; type trace.start() in the loop first, or set PREEMPTIO_TRACE=10s")
    name = os.fspath(path)
    save(trace_of(recorders), name)
    return name


def recordings(loop: Any = None) -> list[Recording]:
    """Return the state of the recorder of one loop, or of all that there are.

    Args:
        loop: by default all loops of this process.

    Raises:
        NotInstalledError: the loop has no runtime.

    Context: any thread.

    Example:
        >>> import preemptio
        >>> from preemptio import trace
        >>> async def main():
        ...     trace.start(seconds=5)
        ...     print(trace.recordings()[0].seconds)
        ...     trace.stop()
        >>> preemptio.run(main())
        5
    """
    now = time.perf_counter_ns()
    return [
        Recording(
            type(each.loop).__name__,
            (now - each.began) / 1e9,
            each.seconds,
            each.ring.held(),
            each.max_bytes,
            each.ring.dropped,
        )
        for each in flights(loop)
    ]


def start_as_configured(loop: Any) -> None:
    """Start the recorder that the variables ask for. In the loop's thread, when it begins to run."""
    if config.trace and flight_of(loop) is None:
        name = config.trace_signal
        if threading.current_thread() is not threading.main_thread():
            name = "none"
        start(
            config.trace,
            config.trace_bytes,
            loop=loop,
            slow=config.trace_slow or None,
            signum=None if name == "none" else getattr(signal, name),
        )


def _forked() -> None:
    for flight in flights():
        flight.forked()


ON_START.append(start_as_configured)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
