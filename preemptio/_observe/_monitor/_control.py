"""What the console and the page can do with a loop: each command once, for both.

The monitor has its own shares of suspended Gs (`suspend_g_threadsafe`), so what was held by a command is held until it
is resumed by one, or the monitor is closed. It does not depend on a connection: whoever is thrown out may come back.

Nothing is made of the G that has the CPU: `gpreempt` holds it and lets it go, so it stops at its next safe point.

Context: coroutines of the monitor's loop; `close` in any thread.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from preemptio._aio._explain import explain
from preemptio._aio._go import NICE
from preemptio._aio._inspect import gs_of
from preemptio._aio._leaks import leaks
from preemptio._aio._retained import retained
from preemptio._aio._shares import SuspendState
from preemptio._aio._suspend import resume_g, suspend_g_threadsafe, suspended
from preemptio._core._nice import renice
from preemptio._core._reasons import Verdict
from preemptio._observe._dump import dump
from preemptio._observe._monitor._ask import BUSY, Unable, busy, in_loop, in_thread, stuck, task_in_loop
from preemptio._observe._monitor._rows import COLUMNS, row, seconds, shown
from preemptio._observe._snapshot import NODE, from_outside
from preemptio._observe._text import counted, quoted
from preemptio._observe._trace import _flight as flight
from preemptio._observe._waits import waits
from preemptio._scan._frames import look
from preemptio._scan._roots import roots_of
from preemptio._scan._stack import Stack, stack_of

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._preempt._explain import Explanation
    from preemptio._scan._leaks import Leak

HELD: Final = 2.0
"""Seconds that are given to stop a G, if nothing else is said."""

SCANNED: Final = 30.0
"""Seconds that a walk through the heap may take, if nothing else is said."""


LOOKS: Final = 5


class Control:
    """The commands for one loop."""

    def __init__(self, loop: Any) -> None:
        """Begin with nothing held."""
        self.loop = loop
        self._shares: dict[G, SuspendState] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.found: tuple[float, list[Leak]] | None = None
        """The last leaks that were looked for, and when; they keep nothing alive."""

    def close(self) -> None:
        """Let everything go that a command holds; what is about to be held is let go as well."""
        with self._lock:
            self._closed = True
            shares, self._shares = list(self._shares.values()), {}
        for state in shares:
            _let_go(state)

    def g(self, number: int) -> G:
        """Return the G of that number.

        Raises:
            Unable: there is none.
        """
        gs = gs_of(self.loop)
        for g in gs:
            if g.id == number:
                return g
        there = sorted(each.id for each in gs)
        which = f"there are {counted(len(there), 'G')}, {there[0]} to {there[-1]}" if there else "there is no G at all"
        raise Unable(f"no G {number} is alive: {which}; type: gs")

    # -- looking: these do not go through the loop --

    async def about(self, g: G) -> str:
        """Tell everything about a G."""
        return await in_thread(lambda: self._about(g))

    def _about(self, g: G) -> str:
        values = row(g)
        told = ((column, shown(column, values[column.name])) for column in COLUMNS)
        lines = [f"{column.title.lower():10} {text}" for column, text in told if text]
        extra = g._extra
        counts = {**{f"preempted ({kind})": n for kind, n in extra.preemptions.items()}}
        counts |= {f"refused ({verdict})": n for verdict, n in extra.refusals.items()}
        lines += [f"{'counts':10} {', '.join(f'{what} {n}' for what, n in counts.items())}"] if counts else []
        if extra.policy is not None:
            lines.append(f"{'policy':10} {extra.policy}")
        if extra.accounts:
            used = ", ".join(seconds(each.cpu_time) for each in extra.accounts)
            lines.append(f"{'budgets':10} CPU used in each: {used}")
        edges = from_outside(self.loop, "").edges
        node = NODE.format(g.id)
        for title, others in (
            ("waits for", [edge.awaited for edge in edges if edge.waiter == node]),
            ("awaited by", [edge.waiter for edge in edges if edge.awaited == node]),
        ):
            if others:
                lines.append(f"{title:10} {', '.join(others)}")
        lines.append(f"{'explain':10} {str(_explained(g)).partition(chr(10))[0]}")
        return "\n".join([*lines, "", str(self.stack(g))])

    def stack(self, g: G) -> Stack:
        """Return where a G stands, as it can be seen from outside."""
        innermost = sys._current_frames().get(self.loop._thread) if self.loop._running_since is not None else None
        return stack_of(g, look(g, innermost or sys._getframe()))

    async def why(self, g: G | None) -> str:
        """Tell why a G is not preempted; by default the one that has the CPU."""
        if g is None:
            g = self.loop._p.curg
        if g is None:
            raise Unable("no G has the CPU at this moment, so which? type: gwhy ID, or: gs --status running")
        now = await in_thread(lambda: _explained(g))
        return f"G {g.id} {quoted(g.name)}\nnow: {now}\nlast: {g.why_not_preempted()}"

    async def dump(self, *, group: bool, timeout: float) -> str:  # noqa: ASYNC109 - of the loop
        """Show every task."""
        return await in_thread(lambda: dump(loop=self.loop, group=group, timeout=timeout))

    async def waits(self) -> str:
        """Tell who waits for whom."""
        return str(await in_thread(lambda: waits(loop=self.loop)))

    # -- changing --

    async def suspend(self, g: G, timeout: float = HELD) -> str:  # noqa: ASYNC109 - it withdraws
        """Hold a G, until `resume`."""
        if self._holds(g):
            raise Unable(f"G {g.id} is held by this monitor already; type: gresume {g.id}")
        state = await self._held(g, timeout)
        with self._lock:
            if not self._closed and not self._holds(g):
                self._shares[g] = state
                stopped = "it ran, and was stopped" if state.stopped else f"it was {state.status}"
                return f"G {g.id} is held: {stopped}; to let it go on, type: gresume {g.id}"
        _let_go(state)
        raise Unable(f"G {g.id} was let go: the monitor was closed, or somebody else has asked for the same")

    async def resume(self, g: G) -> str:
        """Let a G go on that was held by `suspend`."""
        with self._lock:
            state = self._shares.pop(g, None)
        if state is None or state.over:
            whose = "the program holds it, not this monitor" if g.suspended else "nobody holds it"
            raise Unable(f"G {g.id} cannot be resumed: {whose}; type: gs --status suspended")
        _let_go(state)  # which the loop does, if it turns
        try:
            await in_loop(self.loop, int, BUSY)
        except Unable:
            return f"G {g.id} goes on as soon as the loop turns; type: gs"
        return f"G {g.id} goes on"

    async def preempt(self, g: G, timeout: float = HELD) -> str:  # noqa: ASYNC109 - it withdraws
        """Take the CPU from a G at its next safe point."""
        before = g.slices
        state = await self._held(g, timeout)
        where = next((f"{each.file}:{each.line} in {each.function}" for each in reversed(self.stack(g).frames)), "")
        _let_go(state)
        if state.stopped:
            return f"G {g.id} was stopped at {where}, and goes on in its turn"
        ran = " any more" if g.slices > before else ""
        return f"G {g.id} did not run{ran}: it was {state.status}, at {where or 'its beginning'}"

    async def nice(self, g: G, value: int) -> str:
        """Give a G another weight."""
        if value not in NICE:
            raise Unable(f"nice is {value}, not from {NICE[0]} to {NICE[-1]}; type, for example: gnice {g.id} 10")
        before = g.nice
        await in_loop(self.loop, lambda: renice(g, value))
        return f"G {g.id} has nice {value}; it was {before}"

    async def cancel(self, g: G) -> str:
        """Cancel a task."""
        task = g.task
        if task is None or not await in_loop(self.loop, task.cancel):
            raise Unable(f"G {g.id} has ended already; type: gs")
        held = f", and is held: type gresume {g.id}" if g.suspended else ""
        return f"G {g.id} is cancelled{held}"

    def _holds(self, g: G) -> bool:
        """Report whether a share of ours holds a G: the runtime takes shares back that nobody would ever give back."""
        state = self._shares.get(g)
        return state is not None and not state.over

    async def _held(self, g: G, timeout: float) -> SuspendState:  # noqa: ASYNC109
        if self.loop.is_closed() or self.loop._running_since is None:
            await in_loop(self.loop, int)  # which says so

        def hold() -> SuspendState:
            state = suspend_g_threadsafe(g, timeout)
            if self._closed:
                _let_go(state)
            return state

        try:
            state = await in_thread(hold)
        except TimeoutError:
            try:
                await in_loop(self.loop, int, BUSY)
            except Unable:
                raise Unable(f"G {g.id} was not stopped: {stuck(self.loop, timeout)}") from None
            said = f"G {g.id} could not be stopped within {seconds(timeout)}; {g.why_not_preempted()}\n{explain(g=g)}"
            raise Unable(said) from None
        except RuntimeError as why:
            raise Unable(f"G {g.id} was not stopped: {why}") from None
        if state.dead:
            raise Unable(f"G {g.id} has ended; type: gs")
        return state

    # -- the heap --

    async def roots(self, g: G, timeout: float = HELD) -> str:  # noqa: ASYNC109
        """Tell what a G refers to: variables, context, what it awaits."""

        async def read() -> list[str]:
            async with suspended(g, timeout):
                return [
                    f"{root.name}: {type(root.obj).__qualname__}{'' if root.precise else ' (may be)'}"
                    for root in roots_of(g)
                ]

        try:
            lines = await task_in_loop(self.loop, read, timeout + BUSY)
        except TimeoutError:
            raise Unable(f"G {g.id} could not be stopped within {seconds(timeout)}; type: gwhy {g.id}") from None
        return "\n".join([f"G {g.id} {quoted(g.name)} refers to {counted(len(lines), 'object')}:", *lines])

    async def retained(self, g: G | None, timeout: float = SCANNED) -> str:  # noqa: ASYNC109
        """Tell what each task, or one, keeps alive."""
        report = await task_in_loop(self.loop, lambda: retained(background=False), timeout)
        if g is None:
            return str(report)
        if g.task is None:
            raise Unable(f"G {g.id} has ended; type: gs")
        return str(report.of(g.task))

    async def leaks(self, timeout: float = SCANNED) -> list[Leak]:  # noqa: ASYNC109
        """Find the tasks that nothing can wake."""
        found = await task_in_loop(self.loop, lambda: leaks(background=False), timeout)
        self.found = time.monotonic(), found
        return found

    # -- the recorder --

    async def record(self, length: float) -> str:
        """Start the recorder."""
        try:
            await in_loop(self.loop, lambda: flight.start(length, loop=self.loop))
        except (ValueError, RuntimeError) as why:
            said = str(why).replace("trace.stop()", "gtrace stop").replace("trace.dump(path)", "gtrace save PATH")
            raise Unable(said.replace("trace.start(seconds=10)", "gtrace start 10")) from None
        return f"the last {length:g} s are recorded from now on; type: gtrace save PATH"

    async def stop_recording(self) -> str:
        """Stop the recorder."""
        if not await in_loop(self.loop, lambda: flight.stop(self.loop)):
            raise Unable("nothing is recorded; type: gtrace start")
        return "nothing is recorded any more"

    async def save(self, path: str) -> str:
        """Write what was recorded."""
        if flight.flight_of(self.loop) is None:
            raise Unable("nothing is recorded; type: gtrace start")
        try:
            return await in_thread(lambda: _saved(self.loop, path))
        except (OSError, RuntimeError) as why:
            raise Unable(f"{why}; type, for example: gtrace save /tmp/last.json") from None

    def head(self) -> list[str]:
        """Say how the loop stands, in two lines or three."""
        loop, p = self.loop, self.loop._p
        state = "runs" if loop._running_since is not None else "is closed" if loop.is_closed() else "does not run"
        queues = f"queue {p.host.backlog()}, parked {len(p.parked)}, standing {len(p.standing)}"
        stopped = counted(p.nparked_ever, "stop")
        lines = [f"{type(loop).__name__} {state}; {queues}; {counted(p.schedtick, 'slice')}, {stopped} in mid-step"]
        who = busy(loop)
        return [*lines, str(who)] if who is not None else lines


def _let_go(state: SuspendState) -> None:
    if not state.over:
        resume_g(state)


def _explained(g: G) -> Explanation:
    """Explain where a G stands; look again if that is in the tick, or between two steps. In a thread of its own."""
    for _ in range(LOOKS):
        now = explain(g=g)
        if now.verdict is not Verdict.RUNTIME:
            break
        time.sleep(0.002)
    return now


def _saved(loop: Any, path: str) -> str:
    full = os.path.abspath(path)
    flight.dump(full, loop)
    for_viewers = full.endswith((".json", ".pftrace", ".perfetto-trace"))
    todo = "open it" if for_viewers else f"type: preemptio trace convert {full} OUT.json, and open that"
    return f"{full} is written, {os.path.getsize(full)} bytes; {todo} in https://ui.perfetto.dev"
