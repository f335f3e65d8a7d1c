"""The hazard is real: without the rule of whose code it is, the same program breaks.

PREEMPTIO_DEBUG=preemptall=1
PREEMPTIO_POLICY=any
Exit: 1
"""

import faulthandler

from _common import run
from _hammer import main

faulthandler.dump_traceback_later(5, exit=True)  # a lost wake-up is one way to break
run(main())
