"""A trace function of the user's is not touched: preemption stands aside, and every event arrives.

Exit: 0
"""

import asyncio
import sys

from _common import run

import preemptio
from preemptio.lowlevel import Verdict

lines = 0


def tracer(_frame, event, _arg):
    global lines
    lines += event == "line"
    return tracer


def hog(n):
    for _ in range(n):
        x = 1
    return x


async def main():
    task = preemptio.go(hog, 200_000)
    assert await task == 1
    assert sys.gettrace() is tracer
    assert not task.g.preemptions
    assert task.g.refusals.keys() <= {Verdict.TRACER, Verdict.RUNTIME}, task.g.refusals
    assert task.g.refusals.get(Verdict.TRACER)
    await asyncio.sleep(0)


sys.settrace(tracer)
run(main())
assert sys.gettrace() is tracer
sys.settrace(None)
assert lines > 400_000, lines
print("OK")
