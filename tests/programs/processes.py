"""multiprocessing by spawn and by fork, and a process pool, started from tasks beside a hog.

Exit: 0
May say: blocking call in a task
"""

import asyncio
import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor

warnings.simplefilter("ignore", DeprecationWarning)


def work(n):
    return sum(i * i for i in range(n))


async def main():
    flag = Flag()
    hog = preemptio.go(spin, flag)
    await parked(hog)
    loop = asyncio.get_running_loop()
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        process = context.Process(target=work, args=(rounds(100_000),))
        process.start()
        await asyncio.to_thread(process.join)
        assert process.exitcode == 0, (method, process.exitcode)
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            assert await loop.run_in_executor(pool, work, rounds(100_000)) == work(rounds(100_000))
    flag.stop = True
    assert await hog


if __name__ == "__main__":
    from _common import Flag, parked, rounds, run, spin

    import preemptio

    run(main())
    print("OK")
