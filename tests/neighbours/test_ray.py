"""Ray's hook, without Ray: what it finds, and what it puts there. On a cluster: examples/10_ray_actor.py."""

import asyncio
import sys
import types

import pytest

import preemptio
import preemptio.ray


@pytest.fixture
def raylet(monkeypatch):
    """Modules with the names that are looked for, as Ray 2.60 has them."""
    modules = {
        name: types.ModuleType(name) for name in ("ray", "ray._raylet", "ray._private", "ray._private.ray_constants")
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    modules["ray"].__version__ = "9.9"
    modules["ray._private.ray_constants"].WORKER_PROCESS_SETUP_HOOK_ENV_VAR = "HOOK"
    return modules["ray._raylet"]


def test_the_loop_of_an_actor_is_rays_own_but_preempted(raylet):
    """setup() keeps Ray's choice of a class; called twice it does no more."""
    made = []

    def get_new_event_loop():
        made.append(asyncio.SelectorEventLoop())
        return made[-1]

    raylet.get_new_event_loop = get_new_event_loop
    preemptio.ray.setup()
    preemptio.ray.setup()
    loop = raylet.get_new_event_loop()
    try:
        assert isinstance(loop, asyncio.SelectorEventLoop)
        assert type(loop.run_until_complete(current_task())) is preemptio.Task
        assert [each.is_closed() for each in made] == [True]
    finally:
        loop.close()


async def current_task():
    return asyncio.current_task()


@pytest.mark.usefixtures("raylet")
def test_another_ray_is_refused():
    """A Ray that makes its loops by other means is not run without preemption in silence."""
    with pytest.raises(preemptio.UnsupportedError, match=r"Ray 9\.9"):
        preemptio.ray.setup()


@pytest.mark.usefixtures("raylet")
def test_options():
    """The hook and the settings are in the actor's environment."""
    options = preemptio.ray.actor_options(PREEMPTIO_SLICE="1ms")
    assert options == {"runtime_env": {"env_vars": {"HOOK": "preemptio.ray.setup", "PREEMPTIO_SLICE": "1ms"}}}


def test_without_ray(monkeypatch):
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "ray._private.ray_constants", raising=False)
    with pytest.raises(ImportError, match="pip install ray"):
        preemptio.ray.actor_options()
