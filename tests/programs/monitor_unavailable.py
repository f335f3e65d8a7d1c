"""A loop outside the main thread where signals were asked for, as one on CPython 3.11: one warning, and checkpoints.

Exit: 0
Says: tick source unavailable
PREEMPTIO_SOURCE=itimer
"""

import threading

from _common import Flag, parked, run

import preemptio


def gives_way(flag):
    while not flag.stop:
        preemptio.checkpoint()
    return 1


async def main():
    flag = Flag()
    hog = preemptio.go(gives_way, flag)
    await parked(hog)
    flag.stop = True
    done.append(await hog)


done = []
for _ in range(2):
    thread = threading.Thread(target=lambda: run(main()))
    thread.start()
    thread.join()
assert done == [1, 1]
print("OK")
