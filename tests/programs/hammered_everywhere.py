"""asyncio's primitives, logging and straight-line code hold when the CPU is taken at every safe point.

PREEMPTIO_DEBUG=preemptall=1
Exit: 0
"""

from _common import run
from _hammer import main

taken = run(main())
assert taken > 10_000, taken
print("OK")
