"""The public names: this table is the promise."""

import inspect
import types
from pathlib import Path

import pytest

import preemptio
from preemptio import asgi, gunicorn, lowlevel, monitor, ray, runtime, scan, trace

# Name, and the first word of its docstring if it is something that is called to do something.
PUBLIC = {
    preemptio: {
        "blocking": "Call",
        "charge": "Count",
        "checkpoint": "Give",
        "checkpointed": "Compile",
        "dump": "Show",
        "go": "Start",
        "install": "Put",
        "new_event_loop": "Make",
        "nopreempt": "Keep",
        "preemptible": "Declare",
        "register_lock_type": "Declare",
        "restartable": "Declare",
        "resume_g": "Give",
        "stop_the_world": "Hold",
        "suspend_g": "Bring",
        "suspend_g_threadsafe": "Do",
        "suspended": "Hold",
        "run": "Run",
        "should_yield": "Report",
        "stack": "Read",
        "timeout": "Limit",
        "wait": "Wait",
        "waits": "Show",
        "explain": "Explain",
        "config": "",
        "cpu_limit": "Limit",
        "CPULimitError": "",
        "ConfigError": "",
        "InternalError": "",
        "NotAGError": "",
        "NotInstalledError": "",
        "PreemptioError": "",
        "SafePointPolicy": "",
        "SuspendState": "",
        "Task": "",
        "TaskGroup": "",
        "UnsupportedError": "",
        "Waits": "",
        "asgi": "",
        "gunicorn": "",
        "lowlevel": "",
        "monitor": "",
        "ray": "",
        "runtime": "",
        "scan": "",
        "trace": "",
    },
    asgi: {
        "CPUBudget": "",
    },
    gunicorn: {},  # its classes are made when they are asked for: tests/servers
    ray: {
        "actor_options": "Return",
        "setup": "Have",
    },
    lowlevel: {
        "all_gs": "Return",
        "counters": "Return",
        "current_g": "Return",
        "pauses": "Return",
        "Counters": "",
        "Explanation": "",
        "G": "",
        "Gstatus": "",
        "Judged": "",
        "PauseReason": "",
        "Pauses": "",
        "SafePointKind": "",
        "Stack": "",
        "StackFrame": "",
        "PreemptKind": "",
        "Refusals": "",
        "StopReason": "",
        "TRANSITIONS": "",
        "Verdict": "",
        "WaitReason": "",
    },
    monitor: {
        "start": "Start",
        "Monitor": "",
    },
    runtime: {
        "add_instrument": "Have",
        "remove_instrument": "Have",
        "disable_metrics": "Measure",
        "enable_metrics": "Measure",
        "export_to_otel": "Make",
        "label": "Put",
        "metrics": "Return",
        "prometheus_collector": "Make",
        "Histogram": "",
        "Instrument": "",
        "Metrics": "",
    },
    scan: {
        "leaks": "Find",
        "path_to": "Tell",
        "register_size": "Have",
        "retained": "Tell",
        "Held": "",
        "Leak": "",
        "Link": "",
        "Path": "",
        "Retained": "",
        "Retention": "",
    },
    trace: {
        "dump": "Write",
        "log": "Put",
        "recordings": "Return",
        "region": "Name",
        "start": "Record",
        "stop": "Record",
        "Recording": "",
        "TraceError": "",
    },
}
CLASSES = [vars(module)[name] for module, names in PUBLIC.items() for name in names]
CLASSES = [thing for thing in CLASSES if isinstance(thing, type)]
ROWS = [(module, name, verb) for module, names in PUBLIC.items() for name, verb in names.items()]


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_the_names_are_these(module):
    """Nothing is public by accident, and nothing that was promised is gone."""
    names = {name for name in vars(module) if not name.startswith("_")}
    assert names == PUBLIC[module].keys()


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_a_star_import_gives_them(module):
    """What a star import gives is what the table says."""
    namespace = {}
    exec(f"from {module.__name__} import *", namespace)
    assert {name for name in namespace if not name.startswith("_")} == PUBLIC[module].keys()


@pytest.mark.parametrize(("module", "name", "verb"), ROWS, ids=[name for _, name, _ in ROWS])
def test_each_has_a_docstring(module, name, verb):
    """A sentence first; of a function, or what is used like one, what it does, in the imperative."""
    thing = getattr(module, name)
    if name == "TRANSITIONS":
        return  # a set: documented where it is defined
    first = inspect.getdoc(thing).splitlines()[0]
    assert first[0].isupper()
    assert verb == "" or first.split()[0].rstrip(":") == verb
    classes = {"cpu_limit", "nopreempt", "region", "timeout"}
    assert bool(verb) == (isinstance(thing, types.FunctionType) or name in classes)
    if isinstance(thing, type):
        assert thing.__doc__ not in {base.__doc__ for base in thing.__mro__[1:]}, "it is inherited"


@pytest.mark.parametrize("thing", CLASSES, ids=lambda thing: thing.__name__)
def test_public_methods_have_docstrings_too(thing):
    """Whatever of a class a user may call or read."""
    for attribute, value in vars(thing).items():
        if not attribute.startswith("_") and isinstance(value, (property, types.FunctionType)):
            assert inspect.getdoc(value), attribute


def test_the_package_is_typed():
    """py.typed is what tells a type checker so; the version is there for people."""
    assert (Path(preemptio.__file__).parent / "py.typed").exists()
    assert preemptio.__version__.count(".") == 2
