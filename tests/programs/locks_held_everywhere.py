"""With the CPU taken at every safe point: none of them is inside a lock, however it is spelled.

PREEMPTIO_DEBUG=preemptrandom=7:0.05
Exit: 0
"""

import threading

import _locks
from _common import run

_locks.SPIN = 300
for lock in (threading.Lock(), threading.RLock(), threading.Condition(), threading.Semaphore()):
    torn, taken = run(_locks.main(lock))
    assert torn == 0, (lock, torn)
    assert taken > 1000, (lock, taken)
print("OK")
