"""fork while the flight recorder is on: the child's recording begins anew, may be written, and is not the parent's.

Exit: 0
"""

import asyncio
import os
import sys
import tempfile
import warnings

from _common import run

from preemptio import trace
from preemptio._observe._trace._file import read
from preemptio._observe._trace._timeline import Timeline

warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: fork with threads, such as faulthandler's


def names(path):
    return {span.name for spans in Timeline(read(path)).spans.values() for span in spans}


async def main():
    trace.start()
    with trace.region("the parent's"):
        await asyncio.sleep(0.001)
    with tempfile.TemporaryDirectory() as place:
        path = f"{place}/t.ptrace"
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                trace.log("in the child")
                trace.dump(path)
                assert read(path).pid == os.getpid()
                code = 0
            finally:
                sys.stdout.flush()
                os._exit(code)
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, status
        assert read(path).pid == pid
        assert "the parent's" not in names(path)
        trace.dump(path)
        assert "the parent's" in names(path)
    assert trace.stop()


run(main())
print("OK")
