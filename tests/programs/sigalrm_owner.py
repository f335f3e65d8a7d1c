"""SIGALRM belongs to somebody else (pytest-timeout does this): it stays theirs, it fires, and hogs are preempted.

Exit: 0
"""

import asyncio
import signal

from _common import Flag, parked, preempted, run, spin

import preemptio

alarms = []


def on_alarm(*_):
    alarms.append(1)


async def main():
    flag = Flag()
    hogs = [preemptio.go(spin, flag) for _ in range(2)]
    await parked(*hogs)
    while not alarms:
        await asyncio.sleep(0)
    assert signal.getsignal(signal.SIGALRM) is on_alarm
    flag.stop = True
    assert all(await asyncio.gather(*hogs))
    assert all(map(preempted, hogs))


signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.05)
run(main())
assert signal.getsignal(signal.SIGALRM) is on_alarm
assert alarms == [1]
print("OK")
