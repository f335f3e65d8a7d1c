"""ASGI middleware: how much CPU and time a request may use, which requests come first, and when to refuse more.

Problem. A service that computes stays responsive when its tasks are preempted, but a request that computes for a minute
still takes its share for a minute, and under more load than the machine has everything only becomes slower.

What we do. The request's task gets a limit of CPU time and one of time; where it stands when it is over, the middleware
answers 503. Its `nice` follows from its path. What counts is an account that tasks which the handler starts inherit.
New requests are refused while too many steps are parked, or while tasks wait too long for the CPU, which one probe a
request measures. All of that is in the loop's thread and adds a few microseconds to a request.

It is plain ASGI and knows no framework. Put it outermost: what stands before it is not counted.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from preemptio._aio._cpulimit import cpu_limit
from preemptio._aio._go import check_options
from preemptio._aio._runtime import RuntimeLoop
from preemptio._aio._timeouts import timeout
from preemptio._core._current import current_g
from preemptio._core._nice import niced
from preemptio._core._probe import probe
from preemptio._errors import NotInstalledError

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[Any, _Receive, _Send], Awaitable[None]]

_HALF_LIFE: Final = 0.5
"""Seconds in which a delay that was measured loses half of its weight, if none that is longer follows."""


class CPUBudget:
    """Limit, rank and count the CPU time of the requests of an ASGI application.

    Args:
        app: the application.
        cpu: seconds of CPU time that a request may use, with the tasks that it starts. None: any.
        wall: seconds that a request may take. None: any.
        nice: path prefixes with the `nice` of requests to them, -20..19; the longest one that fits counts. Requests
            with less than 0 are never refused.
        max_parked: refuse requests while more steps than that are parked. None: any number.
        max_delay: refuse requests while tasks wait longer for the CPU, in seconds. None: any time.
        retry_after: seconds that a refused client is asked to wait.
        server_timing: add a Server-Timing header with the CPU time used until the response starts.

    A request over its budget is cancelled where it stands, within two slices, and answered with 503, if its response
    has not started; else the connection is closed. Refused requests get 503 at once. While it is handled,
    `scope["preemptio.cpu"].used` is the CPU time that it has used so far.

    Raises:
        ValueError: a limit is not a positive number, or a nice not in -20..19.
        NotInstalledError: when the application starts on a loop without the runtime.

    Example:
        >>> import asyncio, preemptio
        >>> from preemptio.asgi import CPUBudget
        >>> async def app(scope, receive, send):
        ...     while True:  # computes for ever
        ...         pass
        >>> async def main():
        ...     async def send(message):
        ...         print(message.get("status") or message["body"].decode().strip())
        ...     await CPUBudget(app, cpu=0.05)({"type": "http", "path": "/"}, None, send)
        >>> preemptio.run(main())
        503
        over its budget: 0.05 s of CPU time
    """

    def __init__(
        self,
        app: _App,
        *,
        cpu: float | None = None,
        wall: float | None = None,
        nice: Mapping[str, int] | None = None,
        max_parked: int | None = None,
        max_delay: float | None = None,
        retry_after: int = 1,
        server_timing: bool = True,
    ) -> None:
        """Wrap an application."""
        self.app = app
        cpu_limit(cpu)
        for name, value in (("wall", wall), ("max_parked", max_parked), ("max_delay", max_delay)):
            if value is not None and not (type(value) in (int, float) and 0 < value < math.inf):
                msg = f"CPUBudget({name}=...) is a positive number, not {value!r}: CPUBudget(app, {name}=2)"
                raise ValueError(msg)
        for prefix, value in (nice or {}).items():
            if not prefix.startswith("/"):
                msg = f"CPUBudget(nice=...) has paths, which begin with /, not {prefix!r}: nice={{'/reports': 5}}"
                raise ValueError(msg)
            check_options(value, "await", None)
        self._cpu, self._wall = cpu, wall
        self._nice = sorted((nice or {}).items(), key=lambda item: len(item[0]), reverse=True)
        self._max_parked, self._max_delay = max_parked, max_delay
        self._retry_after = b"%d" % retry_after
        self._server_timing = server_timing
        self._delay, self._delay_at = 0.0, 0.0  # the longest wait of late, and when it was looked at

    async def __call__(self, scope: Any, receive: _Receive, send: _Send) -> None:
        """Handle one connection, as ASGI defines it."""
        loop = asyncio.get_running_loop()
        if not isinstance(loop, RuntimeLoop):
            msg = (
                "CPUBudget needs a loop of preemptio; start the server with one: "
                "uvicorn --loop preemptio:new_event_loop app:app. "
                'In tests: TestClient(app, backend_options={"loop_factory": preemptio.new_event_loop})'
            )
            raise NotInstalledError(msg)
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        nice = self._nice_of(scope["path"])
        if (nice is None or nice >= 0) and (why := self._overloaded(loop)):
            await self._refuse(send, why, retry=True)
            return
        g = current_g()
        if g is not None and self._max_delay is not None:
            probe(g, self._waited)
        with niced(g, nice):
            await self._within_budget(scope, receive, send)

    async def _within_budget(self, scope: Any, receive: _Receive, send: _Send) -> None:
        started = False
        clock, cpu = timeout(self._wall), cpu_limit(self._cpu)

        async def watched(message: _Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if self._server_timing:
                    timing = b"cpu;dur=%.3f" % (cpu.used * 1000)
                    message = {**message, "headers": [*message.get("headers", ()), (b"server-timing", timing)]}
            await send(message)

        try:
            async with clock, cpu:
                await self.app({**scope, "preemptio.cpu": cpu}, receive, watched)
        except TimeoutError:
            if started or not (clock.expired or cpu.exceeded):
                raise  # the application's own, or too late for another answer
            over = f"{self._cpu:g} s of CPU time" if cpu.exceeded else f"{self._wall:g} s"
            await self._refuse(watched, f"over its budget: {over}", retry=False)

    def _nice_of(self, path: str) -> int | None:
        for prefix, nice in self._nice:
            if path == prefix or path.startswith(prefix.rstrip("/") + "/"):
                return nice
        return None

    def _waited(self, seconds: float) -> None:
        """Note how long a task has waited for the CPU. On a carrier, before a step."""
        self._delay = max(seconds, self._decayed())

    def _decayed(self) -> float:
        now = time.monotonic()
        self._delay *= 0.5 ** ((now - self._delay_at) / _HALF_LIFE)
        self._delay_at = now
        return self._delay

    def _overloaded(self, loop: RuntimeLoop) -> str:
        """Return why no more requests should be taken now, or ""."""
        if self._max_parked is not None and len(loop._p.parked) > self._max_parked:
            return f"overloaded: {len(loop._p.parked)} tasks wait in the middle of a step"
        if self._max_delay is not None and self._decayed() > self._max_delay:
            return f"overloaded: tasks wait {self._delay:.3f} s for the CPU"
        return ""

    async def _refuse(self, send: _Send, why: str, *, retry: bool) -> None:
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        if retry:
            headers.append((b"retry-after", self._retry_after))
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": f"{why}\n".encode()})
