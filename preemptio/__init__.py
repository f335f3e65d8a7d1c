"""preemptio: asyncio tasks that are preempted.

A CPU-bound task no longer freezes the loop: the CPU is taken from it when its slice is used up, and given back later,
in one process, on one thread, without a change to the code that computes.

The map of the package:

- `_core/`: the nouns. G, its status, carrier, processor, parked queue, guard. No asyncio, no signals.
- `_preempt/`: how the CPU is taken. Tick sources, requests, safe points, seeking.
- `_scan/`: reading what is suspended. Frames, roots, the heap from there. No asyncio.
- `_aio/`: the host. Event loops, tasks, go, wait, run. The only package that imports asyncio.
- `_observe/`: what shows all that to people and tools. Reads; nothing depends on it.
- `_cli/`: `python -m preemptio`.
- `lowlevel`: the public door to Gs and statuses. `_config`: the table of knobs.

Each may import only what stands before it in this list: a test keeps that law.
"""

from preemptio._aio import _waiting as _waiting
from preemptio._aio._blocking import blocking as blocking
from preemptio._aio._cpulimit import cpu_limit as cpu_limit
from preemptio._aio._explain import explain as explain
from preemptio._aio._go import go as go
from preemptio._aio._groups import TaskGroup as TaskGroup
from preemptio._aio._loops import install as install, new_event_loop as new_event_loop
from preemptio._aio._runner import run as run
from preemptio._aio._shares import SuspendState as SuspendState
from preemptio._aio._stack import stack as stack
from preemptio._aio._suspend import (
    resume_g as resume_g,
    suspend_g as suspend_g,
    suspend_g_threadsafe as suspend_g_threadsafe,
    suspended as suspended,
)
from preemptio._aio._task import Task as Task
from preemptio._aio._timeouts import timeout as timeout
from preemptio._aio._wait import wait as wait
from preemptio._aio._world import stop_the_world as stop_the_world
from preemptio._config import config as config
from preemptio._core._guard import charge as charge, checkpoint as checkpoint, should_yield as should_yield
from preemptio._core._mask import nopreempt as nopreempt
from preemptio._errors import (
    ConfigError as ConfigError,
    CPULimitError as CPULimitError,
    InternalError as InternalError,
    NotAGError as NotAGError,
    NotInstalledError as NotInstalledError,
    PreemptioError as PreemptioError,
    UnsupportedError as UnsupportedError,
)
from preemptio._observe import _deadlock as _deadlock, _metrics as _metrics, _signals as _signals
from preemptio._observe._dump import dump as dump
from preemptio._observe._trace import _flight as _flight
from preemptio._observe._waits import Waits as Waits, waits as waits
from preemptio._preempt._checkpointed import checkpointed as checkpointed
from preemptio._preempt._held import register_lock_type as register_lock_type
from preemptio._preempt._policy import SafePointPolicy as SafePointPolicy, preemptible as preemptible
from preemptio._preempt._restart import restartable as restartable

__version__ = "0.1.0"
