"""preemptio: asyncio tasks that are preempted.

A CPU-bound task no longer freezes the loop: the CPU is taken from it when its slice is used up, and given back later,
in one process, on one thread, without a change to the code that computes.

The map of the package:

- `_core/`: the nouns. G, its status, carrier, processor, parked queue, guard. No asyncio, no signals.
- `_preempt/`: how the CPU is taken. Tick sources, requests, safe points, seeking.
- `_aio/`: the host. Event loops, tasks, go, wait, run. The only package that imports asyncio.
- `_cli/`: `python -m preemptio`.
- `lowlevel`: the public door to Gs and statuses. `_config`: the table of knobs.

Each may import only what stands before it in this list: a test keeps that law.
"""

from preemptio._aio import _waiting as _waiting
from preemptio._aio._go import go as go
from preemptio._aio._loops import install as install
from preemptio._aio._loops import new_event_loop as new_event_loop
from preemptio._aio._runner import run as run
from preemptio._aio._task import Task as Task
from preemptio._aio._timeouts import timeout as timeout
from preemptio._aio._wait import wait as wait
from preemptio._config import config as config
from preemptio._core._guard import charge as charge
from preemptio._core._guard import checkpoint as checkpoint
from preemptio._core._guard import should_yield as should_yield
from preemptio._core._mask import nopreempt as nopreempt
from preemptio._errors import ConfigError as ConfigError
from preemptio._errors import InternalError as InternalError
from preemptio._errors import NotAGError as NotAGError
from preemptio._errors import NotInstalledError as NotInstalledError
from preemptio._errors import PreemptioError as PreemptioError
from preemptio._errors import UnsupportedError as UnsupportedError

__version__ = "0.1.0"
