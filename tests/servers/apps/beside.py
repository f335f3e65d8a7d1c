"""What is asked of a loop, whoever runs it: do others run while one of its tasks computes?"""

import asyncio
import time


class Told:
    stop = False


def spin(told):
    """Compute until somebody says stop, and return True; or, after 10 s in which nobody could, False."""
    until = time.monotonic() + 10
    while not told.stop and time.monotonic() < until:
        pass
    return told.stop


async def computes(told):
    return spin(told)


async def check():
    """Say what runs this, and whether timers fire beside a task that computes."""
    told = Told()
    task = asyncio.create_task(computes(told))
    for _ in range(3):
        await asyncio.sleep(0.001)
    told.stop = True
    loop, current = asyncio.get_running_loop(), asyncio.current_task()
    return {"loop": type(loop).__name__, "task": type(current).__name__, "beside": await task}
