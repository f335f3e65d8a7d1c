"""A task that is stepped through beside two hogs, by what the second argument says.

pdb: breakpoint() begins it. debugpy: the test connects, and breaks on the line that is marked. The hogs await now and
then: beside a debugger they are not preempted, and one that never awaits would be alone.
"""

import asyncio
import sys

from _hogs import Flag, again, run

import preemptio

flag = Flag()


async def hog():
    while not flag.stop:
        for _ in range(50_000):
            flag.rounds += 1
        await asyncio.sleep(0)


def burn(rounds):
    n = 0
    for _ in range(rounds):
        n += 1
    return n


def walk():
    if sys.argv[2] == "pdb":
        breakpoint()  # noqa: T100
    first = burn(20_000)  # here
    second = burn(20_000)
    third = first + second
    return third + burn(20_000)


async def connected(wanted):
    import debugpy  # noqa: T100

    while debugpy.is_client_connected() is not wanted:
        await asyncio.sleep(0.01)


async def main():
    if sys.argv[2] == "debugpy":
        import debugpy  # noqa: T100

        print("PORT", debugpy.listen(("127.0.0.1", 0))[1], flush=True)  # noqa: T100
    hogs = [preemptio.go(hog()) for _ in range(2)]
    await again(*hogs)
    print("PREEMPTED before", flush=True)
    if sys.argv[2] == "debugpy":
        await connected(True)
    walker = preemptio.go(walk)
    assert await walker == 60_000
    if sys.argv[2] == "debugpy":
        await connected(False)
    await again(*hogs)
    print("PREEMPTED after", sorted(map(str, walker.g.refusals)), flush=True)
    flag.stop = True
    await asyncio.gather(*hogs)
    print("OK", flush=True)


run(main())
