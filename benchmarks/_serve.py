"""A worker process: answers requests on stdin until it ends. The other end is `Worker` in `_worker.py`."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import importlib
import json
import os
import signal
import sys

from benchmarks._worker import Side, open_runner


def print_tasks(*_: object) -> None:
    """Print every task that is not done, with its G: parked steps are on no stack that faulthandler sees."""
    for task in asyncio.all_tasks(open_runner[0].get_loop()) if open_runner else ():
        print(f"not done: {task!r} {getattr(task, 'g', '')!r}", file=sys.stderr)
        task.print_stack(limit=4)


def serve(bench: str, side: Side) -> None:
    """Answer requests on stdin until it ends."""
    faulthandler.enable()
    signal.signal(signal.SIGUSR1, print_tasks)
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the measured code prints must not be taken for a reply
    measure = importlib.import_module(bench).measure
    for line in sys.stdin:
        gc.collect()
        try:
            reply = {"value": measure(side, **json.loads(line))}
        except Exception as error:
            reply = {"error": repr(error)}
        if any(signal.getitimer(which)[0] for which in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL)):
            reply = {"error": "a timer was left armed after the loop stopped"}
        print(json.dumps(reply), file=replies, flush=True)
    if open_runner:
        open_runner[0].close()


if __name__ == "__main__":
    serve(sys.argv[1], Side(**json.loads(sys.argv[2])))
