"""gevent imported and not used: preemption, threads and signals are as without it.

Exit: 0
"""

import asyncio
import signal
import threading

import gevent
import gevent.monkey
from _common import Flag, parked, preempted, run, spin

import preemptio


async def main():
    flag, told = Flag(), asyncio.Event()
    hogs = [preemptio.go(spin, flag) for _ in range(2)]
    await parked(*hogs)
    assert await asyncio.to_thread(threading.get_ident) != threading.get_ident()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, told.set)
    signal.raise_signal(signal.SIGUSR1)
    await told.wait()
    assert await preemptio.go(lambda: preemptio.wait(asyncio.sleep(0.001, "waited"))) == "waited"
    flag.stop = True
    assert all(await asyncio.gather(*hogs))
    assert all(map(preempted, hogs))


assert gevent.version_info
assert not gevent.monkey.is_anything_patched()
run(main())
print("OK")
