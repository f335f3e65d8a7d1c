"""An RLock belongs to the thread, so it lets every G in: its holder must not be preempted. Without the rule it was.

Uninjected: it needs a torn one without the rule, and there is none in so few rounds
Exit: 0
"""

import threading

from _common import run
from _locks import main

from preemptio._preempt import _safepoint

torn, taken = run(main(threading.RLock()))
assert torn == 0, torn
assert taken > 2, taken

_safepoint.holds = lambda _frame: False
torn, taken = run(main(threading.RLock()))
assert torn > 0, "the rule is not what keeps it"
print("OK")
