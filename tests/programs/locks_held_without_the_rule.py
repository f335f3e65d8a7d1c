"""Without the lock rule the thread blocks for good: this is what the rule is for.

Exit: 3
"""

import faulthandler
import os
import threading

from _common import run
from _locks import main

from preemptio._preempt import _rescue, _safepoint

_safepoint.holds = lambda _frame: False
_rescue.Rescue.may_leave = lambda *_: False  # else it would find the way out, in the end

faulthandler.cancel_dump_traceback_later()
watch = threading.Timer(3, os._exit, [3])
watch.daemon = True
watch.start()
run(main())
print("never here")
