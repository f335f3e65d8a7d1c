"""The callback of a profiler or of sys.monitoring computes: its task is not preempted in it, only when it has returned.

The interpreter calls no other callback while one runs. Were it left there, other tasks would not be seen: so each call
of `other`, which runs in another task, must have had its event.
"""

import asyncio
import sys

from _hogs import again, run

import preemptio

calls = events = 0
WHAT = sys.argv[2]


def slow():
    n = 0
    for _ in range(20_000):
        n += 1
    return n


def on_line(code, _line):
    global events
    if code is other.__code__:
        events += 1
    elif code is hog.__code__:
        slow()


def on_call(frame, event, _arg):
    global events
    if frame.f_code is other.__code__:
        events += event == "call"
    elif event == "c_call" and frame.f_code is hog.__code__:
        slow()


def install():
    if WHAT == "profiler":
        sys.setprofile(on_call)
        return
    monitoring = sys.monitoring
    monitoring.use_tool_id(4, "test")
    monitoring.register_callback(4, monitoring.events.LINE, on_line)
    for function in (hog, other):
        monitoring.set_local_events(4, function.__code__, monitoring.events.LINE)


def other():
    global calls; calls += 1  # fmt: skip  # noqa: E702  # one line, one event


def hog(flag):
    while not flag:
        for n in range(3):
            abs(n)


async def beside(flag):
    while not flag:
        other()
        await asyncio.sleep(0)


async def main():
    flag = []
    install()
    task, other_task = preemptio.go(hog, flag), asyncio.create_task(beside(flag))
    for _ in range(10):
        await again(task)
    flag.append(True)
    await asyncio.gather(task, other_task)
    sys.setprofile(None)
    assert calls
    assert events == calls, (events, calls)
    print("REFUSED", *map(str, task.g.refusals))


run(main())
print("OK")
