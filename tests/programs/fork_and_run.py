"""A forked child that starts a loop of its own has ticks of its own.

Exit: 0
"""

import os
import warnings

from _common import Flag, parked, run, spin

import preemptio

warnings.simplefilter("ignore", DeprecationWarning)


async def preempts():
    flag = Flag()
    hog = preemptio.go(spin, flag)
    await parked(hog)
    flag.stop = True
    assert await hog


run(preempts())
pid = os.fork()
if pid == 0:
    code = 1
    try:
        run(preempts())
        code = 0
    finally:
        os._exit(code)
run(preempts())
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
print("OK")
