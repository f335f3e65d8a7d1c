"""Shares: what a task holds of suspended Gs, and how it loses that without giving it back.

Problem. A share that is forgotten would keep a G for ever. And one who holds a G must not wait for it: it does not end
before he lets it go, and he does not go on before it ends. He cannot even be cancelled: asyncio hands the cancellation
of a task down to the one that it awaits, where it is kept with all that would make a held G run; and a task group
takes it, and goes on waiting. So a timeout would not help, nor Ctrl-C.

What does not work. To forbid the await: another task, or a timer, may give the share back meanwhile. To end the shares
of a task when it is cancelled: it may need them to clean up.

What we do. A share belongs to the task that took it: when that ends, it is given back, and the same when nobody refers
to it any more. When a task is cancelled, and then still waits for one that it holds - itself, or by others that wait
for that, or by what asyncio has in between - its share in that one is given back. The same when the one that it waits
for is cancelled; and when all tasks of the loop are asleep (`_observe/_deadlock.py`). Each of these is reported.

A stop of the world is a share in everybody.

Not seen: the cancellation of a plain `asyncio.Task`, as asyncio's eager factory makes them, that awaits another plain
one which is about to run: C code keeps that to itself. If that one waits, its cancellation is a step, which is seen.

Context: the loop's thread, except for `give_back`, and `cancelled`: from a signal handler as well.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakSet

from preemptio._aio._awaited import awaited_by
from preemptio._core._g import G
from preemptio._core._gstatus import Gstatus
from preemptio._log import report_abandoned

if TYPE_CHECKING:
    from preemptio._aio._runtime import RuntimeLoop
    from preemptio._core._hold import Hold


class SuspendState:
    """One share of a suspended G: as long as it is not given back by `resume_g`, no code of the G runs.

    Source: preempt.go, suspendGState.
    """

    __slots__ = ("__weakref__", "_hold", "_loop", "_taken", "_task", "_unspent", "dead", "g", "stopped")

    g: Final[G]
    """The G."""

    dead: Final[bool]
    """Whether it was dead: then there is nothing to read, and nothing is held. It says nothing of later."""

    stopped: Final[bool]
    """Whether it was running, and was stopped for this. Otherwise it was waiting for something, or for its turn."""

    def __init__(self, g: G, loop: RuntimeLoop | None, hold: Hold | None) -> None:
        """Take a share that was granted; no loop and no hold for a dead G."""
        self._unspent = [True]  # emptied by whoever is the first to give it back, in whatever thread
        self._taken = False  # it was given back for whoever has it, and he does not know
        self._loop = loop
        self._hold = hold
        self._task = g.task  # what is read must not go away meanwhile
        self.g = g
        self.dead = hold is None
        self.stopped = hold is not None and hold.stopped

    @property
    def status(self) -> Gstatus:
        """The state that the G returns to, which it stays in for as long as it is held."""
        return self.g.status.base

    @property
    def over(self) -> bool:
        """Whether the share was given back."""
        return not self._unspent

    def __repr__(self) -> str:
        """Show the G and what is known of it."""
        words = ["dead" * self.dead, "stopped" * self.stopped, "resumed" * self.over]
        return f"<SuspendState of {self.g!r}{''.join(f' {word}' for word in words if word)}>"

    def __del__(self) -> None:
        if not self.over and not self.dead:
            self.take("nobody refers to it any more", FORGOTTEN)

    def give_back(self) -> None:
        """Give it back, for the one who has it: once."""
        if self.over and not self._taken:
            msg = f"{self!r} was given back already: each suspend_g() is followed by one resume_g()"
            raise RuntimeError(msg)
        self._taken = False
        self._end("", "")

    def take(self, why: str, advice: str) -> None:
        """Give it back, for one who does not: he may still do it. Perhaps in a finalizer."""
        self._taken = True
        self._end(why, advice)

    def _end(self, why: str, advice: str) -> None:
        try:
            self._unspent.pop()
        except IndexError:
            return
        self._task = None
        loop = self._loop
        if loop is None or self._hold is None:
            return
        if not why and loop._thread == threading.get_ident():
            loop._suspends.let_go(self.g, self._hold)
            return
        loop.post(loop._suspends.let_go, self.g, self._hold)
        if why:  # perhaps in a finalizer: nothing may be logged here
            loop.post(report_abandoned, self.g, why, advice)


FORGOTTEN: Final = "use `async with preemptio.suspended(g):`, or call resume_g(state) in a `finally`"
STOPPED: Final = "use `async with preemptio.stop_the_world(why):`, and not in an async generator that may be left early"
WAITED_FOR: Final = "do not await a task while you hold it, nor one that waits for it: let it go first"


class Stopper(Protocol):
    """Who has stopped the world: he has a share in everybody."""

    me: G

    def held(self) -> Iterable[G]:
        """Return whom he holds."""

    def let_go(self, gs: Container[G] | None) -> list[G]:
        """Let these go on; return who they were."""

    def end(self) -> None:
        """Let the world go on."""


class Shares:
    """What one task holds."""

    __slots__ = ("states", "stop")

    def __init__(self) -> None:
        """Hold nothing."""
        self.states: WeakSet[SuspendState] = WeakSet()
        self.stop: Stopper | None = None

    def held(self) -> list[G]:
        """Return whom it holds, for each share."""
        held = [state.g for state in self.states if not state.over]
        return held if self.stop is None else [*held, *self.stop.held()]

    def take(self, gs: Container[G], why: str) -> None:
        """Give back what it holds of these, which it waits for."""
        for state in list(self.states):
            if state.g in gs and not state.over:
                state.take(why, WAITED_FOR)
        for g in [] if self.stop is None else self.stop.let_go(gs):
            report_abandoned(g, why, WAITED_FOR)

    def end(self, why: str) -> None:
        """Give back everything."""
        for state in list(self.states):
            if not state.over:
                state.take(why, FORGOTTEN)
        stop = self.stop
        if stop is not None:
            stop.end()
            report_abandoned(stop.me, f"{why}; it had stopped the world", STOPPED)


_shares: Final[dict[Any, Shares]] = {}
"""By task, from the first time that it holds something until it ends."""


def shares_of(task: Any) -> Shares:
    """Return what a task holds, to be changed: it is given back at its end."""
    shares = _shares.get(task)
    if shares is None:
        shares = _shares[task] = Shares()
        task.add_done_callback(_ended)
    return shares


def _ended(task: Any) -> None:
    _shares.pop(task).end(f"the task {task.get_name()!r} that suspended it has ended")


def held_in(loop: Any) -> Iterator[tuple[Any, G]]:
    """Yield who holds whom of the tasks of a loop, for each share. Threads may hold some besides."""
    for task, shares in list(_shares.items()):
        if task.get_loop() is loop:
            for g in shares.held():
                yield task, g


def free_all(loop: Any) -> bool:
    """Give back what the tasks of a loop hold, when none of them will go on; report whether there was anything."""
    held = {g for _, g in held_in(loop)}
    for task, shares in list(_shares.items()):
        if task.get_loop() is loop:
            shares.take(held, "all tasks are asleep, that which suspended it as well, and nothing is left to wake one")
    return bool(held)


def cancelled(task: Any) -> None:
    """Take note that a task was cancelled: when that has had its effect, look whether somebody stands in its way."""
    if not _shares:
        return
    g: G | None = getattr(task, "g", None)
    if task in _shares or (g is not None and g.suspended):
        loop = task.get_loop()
        loop.post(_look, loop, task, g)


def _look(loop: Any, task: Any, g: G | None) -> None:
    holders = [holder for holder, held in held_in(loop) if held is g]
    for each in {task, *holders}:
        shares = _shares.get(each)
        if shares is None or each.done():
            continue
        tasks = awaited_by(each)
        waited = {held for held in shares.held() if held.task in tasks}
        if waited and (each is task or g in waited):
            shares.take(waited, f"the task {each.get_name()!r} that suspended it waits for it, and one was cancelled")
