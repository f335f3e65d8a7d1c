"""Ray's async actors on loops of preemptio: `Actor.options(**preemptio.ray.actor_options()).remote()`.

For all actors of a job: `ray.init(runtime_env={"worker_process_setup_hook": "preemptio.ray.setup"})`.
"""

from preemptio._aio._ray import actor_options as actor_options, setup as setup
