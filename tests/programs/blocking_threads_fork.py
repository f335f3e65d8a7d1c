"""A worker thread forks: its child ends when the call returns there, and does not reach into the parent's loop.

Exit: 0
"""

import os
import warnings

from _common import run

import preemptio
from preemptio._aio import _workers

_workers.IDLE = 3600  # a worker that waits for more in the child is not to end by itself
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: fork with threads


async def main():
    pid = await preemptio.blocking(os.fork)
    assert pid, "this is the child, in the parent's task"
    _, status = await preemptio.blocking(os.waitpid, pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status


run(main())
print("OK")
