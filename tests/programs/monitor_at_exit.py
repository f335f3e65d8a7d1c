"""The program ends while loops in daemon threads compute and are preempted: neither they nor their monitors keep it.

Exit: 0
"""

import sys
import threading

from _common import Flag, parked, preempted, run, spin

import preemptio

ready = threading.Barrier(3)


async def main():
    hogs = [preemptio.go(spin, Flag()) for _ in range(3)]
    await parked(*hogs)
    while preempted(hogs[0]) < 20:
        await preemptio.go(lambda: None)
    await preemptio.go(ready.wait)
    await hogs[0]


if hasattr(sys, "monitoring"):
    for _ in range(2):
        threading.Thread(target=lambda: run(main()), daemon=True).start()
    ready.wait(10)
print("OK")
