"""stack: the read access to a suspended G, for the one who holds it.

Context: any thread.
"""

from __future__ import annotations

from preemptio._aio._shares import SuspendState
from preemptio._scan._stack import Stack, stack_of


def stack(state: SuspendState) -> Stack:
    """Read the stack of a suspended G: every frame, from the task's coroutine to the line at which it stands.

    Coroutines that await each other, the functions in which it was stopped, and what greenlets made in its step.

    Args:
        state: what `suspend_g` returned; its share of the G must not have been given back.

    Returns:
        Stack: a frozen record, which keeps no frame and no variable alive. Print it. Of a dead G it has no frames.

    Raises:
        RuntimeError: the share was given back, or the loop was closed and ended it: the G runs or has ended.
        TypeError: it is not a SuspendState.

    Context: any thread.

    Source: mgcmark.go, scanstack, and the dump of runtime.Stack.

    Example:
        >>> import asyncio, preemptio
        >>> async def worker():
        ...     await asyncio.sleep(60)
        >>> async def main():
        ...     task = preemptio.go(worker, name="w")
        ...     await asyncio.sleep(0)
        ...     async with preemptio.suspended(task) as state:
        ...         print(preemptio.stack(state))
        ...     task.cancel()
        >>> preemptio.run(main())
        G ... "w" [waiting: sleep], blocked
        Stack (most recent call last):
          File "...", line 2, in worker
          ...
        awaits Future
        created at ...
    """
    if not isinstance(state, SuspendState):
        msg = f"stack() takes what suspend_g() returned, not {state!r}: async with preemptio.suspended(task) as state"
        raise TypeError(msg)
    if state.over:
        msg = f"{state!r} was given back, so its G may run: call stack() before resume_g()"
        raise RuntimeError(msg)
    hold, g = state._hold, state.g
    if hold is None:
        return stack_of(g)
    with hold.reading:
        if g._extra.hold is not hold:
            msg = f"{g!r} is not held any more: its loop has ended all suspensions, to close"
            raise RuntimeError(msg)
        return stack_of(g)
