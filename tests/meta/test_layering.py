"""The import law: which package may import which, and which outside module belongs to which file."""

import ast
from pathlib import Path

import preemptio

PACKAGE = Path(preemptio.__file__).parent
FILES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}

# What each part may import of the library, itself apart. An import for annotations counts like any other.
LAW = {
    "_errors": set(),
    "_places": set(),
    "_kinds": set(),
    "_config": {"_errors", "_kinds", "_places"},
    "_compat": {"_errors"},
    "_events": set(),
    "_log": {"_events", "_core"},  # for annotations: what it speaks of are the nouns; and a task's context
    "_core": {"_errors", "_kinds", "_config", "_compat", "_events", "_log", "_places"},
}
LAW["_preempt"] = LAW["_core"] | {"_core"}
LAW["_scan"] = LAW["_preempt"] | {"_preempt"}
LAW["_aio"] = LAW["_scan"] | {"_scan"}
LAW["_observe"] = LAW["_aio"] | {"_aio"}
FACES = {"asgi", "gunicorn", "lowlevel", "monitor", "ray", "runtime", "scan", "trace"}
LAW |= dict.fromkeys(FACES, LAW["_observe"] | {"_observe"})
LAW["__init__"] = LAW["_observe"] | {"_observe"} | FACES
LAW["_cli"] = LAW["_tools"] = LAW["__main__"] = LAW["__init__"] | {"__init__", "_cli"}

# Outside modules with one home: a prefix of the paths that may import them.
HOMES = {
    "asyncio": ("_aio/", "_observe/", "_cli/"),  # the command line runs programs: the user's, and the demo's
    "uvloop": ("_aio/_loops.py",),
    "aiohttp": ("_observe/_web/", "_observe/_monitor/_server.py", "_aio/_gunicorn.py"),
    "aiomonitor": ("_observe/_monitor/_aiomonitor.py",),
    "click": ("_observe/_monitor/",),
    "prompt_toolkit": ("_observe/_monitor/",),
    "perfetto": ("_observe/_trace/_perfetto.py",),
    "structlog": ("_log.py",),
    "dis": ("_preempt/_opcodes.py", "_preempt/_callee.py", "_preempt/_sections.py"),
    "opcode": ("_preempt/_opcodes.py", "_preempt/_blocks.py", "_preempt/_cframes.py", "_scan/_depths.py"),
    "prometheus_client": ("_observe/_prometheus.py",),
    "opentelemetry": ("_observe/_otel.py",),
    "greenlet": ("_core/", "_scan/_frames.py"),
    "signal": ("_preempt/_sources.py", "_preempt/_wakeups.py", "_scan/_roots.py", "_observe/", "_cli/"),
    "ctypes": ("_preempt/_sources.py", "_preempt/_iframe.py"),
}

# Attributes with one home.
ATTRIBUTES = {
    "sys.version_info": ("_compat.py",),
    "signal.setitimer": ("_preempt/_sources.py",),
    "signal.set_wakeup_fd": ("_preempt/_wakeups.py",),
    "signal.signal": ("_preempt/_sources.py", "_observe/_signals.py", "_cli/"),
    "sys.settrace": ("_preempt/_tracers.py",),
    "gc.callbacks": ("_preempt/_gcfence.py",),
    "sys.setswitchinterval": ("_preempt/_gil.py",),
    "sys.addaudithook": ("_preempt/_process.py",),
    "threading.local": ("_core/_current.py",),
}


def part(path):
    return path.partition("/")[0].removesuffix(".py")


def imports(tree):
    """Yield every module that is imported anywhere in a file, as a dotted name; relative ones with a dot in front."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            yield from (f"{prefix}.{alias.name}" for alias in node.names)


def inside(name):
    """Return the part of the library that an imported name is in, or None."""
    first, _, rest = name.partition(".")
    if first != "preemptio":
        return None
    second = rest.partition(".")[0]
    return second if second in LAW else "__init__"


def importers(module):
    """Return the files that import a module or something in it."""
    return {path for path, tree in FILES.items() for name in imports(tree) if name.partition(".")[0] == module}


def test_each_package_imports_only_what_stands_before_it():
    """_core, _preempt, _aio, _cli: never back."""
    broken = []
    for path, tree in FILES.items():
        allowed = LAW[part(path)] | {part(path)}
        broken += [(path, name) for name in imports(tree) if inside(name) not in allowed | {None}]
    assert broken == []


def test_the_law_speaks_of_every_part():
    """A new package or module at the top has to take its place."""
    assert {part(path) for path in FILES} == set(LAW)


def test_imports_are_absolute():
    """So that this test can read them."""
    assert [(p, name) for p, tree in FILES.items() for name in imports(tree) if name.startswith(".")] == []


def test_outside_modules_stay_where_they_belong():
    """asyncio in _aio, signals in one file, and so on; each of these homes is lived in."""
    for module, homes in HOMES.items():
        found = importers(module)
        assert found, module
        assert {path for path in found if not path.startswith(homes)} == set(), module


def test_rich_is_imported_in_one_file_of_the_command_line():
    """It is an optional dependency."""
    found = importers("rich")
    assert len(found) <= 1
    assert all(path.startswith("_cli/") for path in found)


def test_attributes_of_the_process_stay_where_they_belong():
    """Who sets a signal, a trace function or a GC callback is found in one file; so is what depends on the version."""
    for attribute, homes in ATTRIBUTES.items():
        module, _, name = attribute.partition(".")
        found = {path for path, tree in FILES.items() if uses(tree, module, name)}
        assert found, attribute
        assert {path for path in found if not path.startswith(homes)} == set(), attribute


def uses(tree, module, name):
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == name and getattr(node.value, "id", "") == module:
            return True
        if isinstance(node, ast.ImportFrom) and node.module == module and name in [alias.name for alias in node.names]:
            return True
    return False
