"""A forked child that starts a loop of its own has ticks of its own.

Exit: 0
"""

import os
import warnings

from _common import a_hog_is_preempted, run

warnings.simplefilter("ignore", DeprecationWarning)


run(a_hog_is_preempted())
pid = os.fork()
if pid == 0:
    code = 1
    try:
        run(a_hog_is_preempted())
        code = 0
    finally:
        os._exit(code)
run(a_hog_is_preempted())
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
print("OK")
