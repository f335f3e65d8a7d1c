"""Somebody takes SIGALRM while the loop runs: it is theirs from then on, and hogs are still preempted.

Exit: 0
Says: tick source unavailable
"""

import asyncio
import signal

from _common import Flag, parked, run, spin

import preemptio

alarms = []


def on_alarm(*_):
    alarms.append(1)


async def hog_is_preempted():
    flag = Flag()
    hog = preemptio.go(spin, flag)
    await parked(hog)
    flag.stop = True
    assert await hog


async def main():
    await hog_is_preempted()
    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    while not alarms:
        await asyncio.sleep(0.001)
    await hog_is_preempted()
    assert signal.getsignal(signal.SIGALRM) is on_alarm
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


run(main())
assert signal.getsignal(signal.SIGALRM) is on_alarm
assert alarms == [1]
print("OK")
