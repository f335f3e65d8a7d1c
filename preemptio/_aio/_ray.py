"""Ray's async actors on loops of preemptio.

Problem. An async actor's methods share one loop, in a thread of its worker process. One that computes keeps the others
waiting, the health check of who supervises the actor included.

What we do. Ray makes that loop by a function of its own, which its compiled core keeps among its globals. A hook that
Ray calls when a worker process starts, before any actor is made, puts another there: a loop of the same class,
preempted. Ray has the hook as a setting of a job. It reaches the worker as an environment variable, and those can be
an actor's own; so one actor can have it, and others of the job are not concerned.

What does not work. `install()` in a method: uvloop, which Ray takes where it is installed, cannot be exchanged while it
runs. A policy: Ray asks uvloop for the loop, not asyncio.

The loop is not in the main thread, so it takes CPython 3.12: there a monitor interrupts. On 3.11 checkpoints give way.

Context: `setup` in a worker process of Ray's, before its loop is made; `actor_options` anywhere.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import Any, Final

from preemptio._aio._loops import new_event_loop
from preemptio._aio._runtime import RuntimeLoop
from preemptio._errors import UnsupportedError

HOOK: Final = "preemptio.ray.setup"
"""How Ray finds `setup`: by import."""


def setup() -> None:
    """Have the async actors of this worker process run on loops of preemptio. For Ray to call, as a setup hook.

    Raises:
        UnsupportedError: this version of Ray makes its loops by other means.

    Context: a worker process of Ray's, before an actor is made.
    """
    core: Any = importlib.import_module("ray._raylet")
    make: Callable[[], asyncio.AbstractEventLoop] | None = getattr(core, "get_new_event_loop", None)
    if make is None:
        version = importlib.import_module("ray").__version__
        msg = f"preemptio.ray.setup: Ray {version} makes the loops of actors in a way that is not known here"
        raise UnsupportedError(msg)

    def preempted() -> asyncio.AbstractEventLoop:
        made = make()
        if isinstance(made, RuntimeLoop):
            return made
        made.close()
        return new_event_loop(type(made))

    core.get_new_event_loop = preempted


def actor_options(**environ: str) -> dict[str, Any]:
    """Return options for an async actor of Ray's that has it run on a loop of preemptio.

    Args:
        **environ: environment variables of the actor's process, such as PREEMPTIO_SLICE="1ms".

    Returns:
        Keywords for `Actor.options(...)` and `@ray.remote(...)`. They have a `runtime_env`; one of your own has to be
        put together with it.

    Raises:
        ImportError: Ray is not installed.

    Context: the program that makes the actor. The worker needs preemptio installed, and CPython 3.12 to preempt.

    Example:
        `Worker.options(max_concurrency=100, **preemptio.ray.actor_options()).remote()`; examples/10_ray_actor.py.
    """
    try:
        constants: Any = importlib.import_module("ray._private.ray_constants")
    except ImportError as exc:
        msg = f"preemptio.ray needs Ray, which is not installed ({exc}): pip install ray"
        raise ImportError(msg) from exc
    return {"runtime_env": {"env_vars": {constants.WORKER_PROCESS_SETUP_HOOK_ENV_VAR: HOOK, **environ}}}
