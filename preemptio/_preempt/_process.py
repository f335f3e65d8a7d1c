"""exec and fork: what a running tick does to them, and how that is kept from happening.

exec keeps the interval timer and drops the handler: the new program is killed by the first SIGALRM. An audit hook
on `os.exec` disarms before, and a thread arms again in case the exec fails: there is no hook for that. The hook is
called at every `id()` of the program's, some two thousand instructions each, and can never be removed: only a source
that needs it has it installed. fork does not
inherit the timer but keeps everything else: the child would run with a runtime that believes it ticks, and its
checkpoints, or a search for a safe point that was on, would run the parent's tasks a second time and read from the
parent's sockets. The child forgets the runtime until it runs a loop itself.

Context: `_on_audit` wherever the interpreter audits, hence cheap; `_in_child` in the forked child, any thread.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from preemptio._preempt import _gil, _monitor

if TYPE_CHECKING:
    from preemptio._preempt._tick import Ticker

AFTER_EXEC: Final = 0.25
"""Seconds within which an exec that succeeds has ended the program."""

_running: set[Ticker] = set()  # writers: the threads of the loops; copied in one step where it is read
_audited = False


def watch(ticker: Ticker) -> None:
    """Keep `ticker` from surviving a fork."""
    _running.add(ticker)


def unwatch(ticker: Ticker) -> None:
    """Forget a ticker that was stopped."""
    _running.discard(ticker)


def look_out_for_exec() -> None:
    """Have running tickers disarmed before an exec, from now on."""
    global _audited  # noqa: PLW0603 - audit hooks are per process and for ever, so is the flag
    if not _audited:
        _audited = True
        sys.addaudithook(_on_audit)


def _on_audit(event: str, _args: tuple[Any, ...]) -> None:
    if event == "os.exec":
        for ticker in _running.copy():
            if ticker.ticking:
                ticker.disarm()
                _arm_later(ticker)


def _arm_later(ticker: Ticker) -> None:
    """Tick again if the exec fails: one that succeeds ends this thread with the program."""
    timer = threading.Timer(AFTER_EXEC, ticker.arm_again)
    timer.daemon = True
    timer.start()


def _in_child() -> None:
    _gil.forked()
    _monitor.REQUESTS.forked()
    for ticker in _running.copy():
        ticker.abandon()  # and with it checkpoints and wait(): the parent's tasks must not run here too
    _running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
