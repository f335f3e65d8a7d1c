"""A hog that still computes when main is over is cancelled at a safe point; run() says so and returns.

Exit: 0
Says: task stopped at a safe point
"""

from _common import parked, run

import preemptio

ended = []


def hog():
    try:
        while True:
            pass
    finally:
        ended.append(True)


async def main():
    await parked(preemptio.go(hog))


run(main())
assert ended
print("OK")
