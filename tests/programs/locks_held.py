"""A G that holds a thread lock is not preempted, so that no other one blocks the thread, and it is elsewhere.

Uninjected: locks_held_everywhere does it
Exit: 0
"""

from _common import run
from _locks import main

torn, taken = run(main())
assert torn == 0, torn
assert taken > 2, taken
print("OK")
