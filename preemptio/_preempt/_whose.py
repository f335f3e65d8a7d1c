"""Whose code a frame is: the classes of the whose-code rule.

Problem. Between two awaits asyncio code runs alone, and libraries are written on that: preempting inside
asyncio.Queue breaks it within a second. The user's own handlers and helpers are not written on that, or at least
their author chose preemption.

What we do. A file belongs to one of a few classes, found once per file name. The standard library is split: modules
that keep state of their own between calls, or that others rely on to run alone, are STDLIB; the few that only compute
on their arguments are PURE (`_purelist`). Third-party code is preempted like a thread would be, unless its module knows
asyncio, anyio or trio: such code assumes that nothing runs between its awaits. What the user has said about modules,
files and functions (`_policy`) comes before all of that: allowed code is USER, denied code DENIED.

Invariants. Imports and the runtime keep their class whatever the user says. A frame costs one look-up by file name;
only in a program that says something of functions another, and one by the identity of its code.

Context: tick handler and trace callback: no locks, no I/O after the first look.
"""

from __future__ import annotations

import enum
import inspect
import os
import site
import sys
import sysconfig
from types import FrameType
from typing import Final

from preemptio._preempt._policy import MARKED, Named, Rules, SafePointPolicy, of_function
from preemptio._preempt._purelist import PURE

COROUTINE: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
"""Flags of the code that owns a step: what is beyond it stands at an await."""


class Whose(enum.Enum):
    """Who is answerable for a file."""

    USER = "user"
    PURE = "pure"
    STDLIB = "stdlib"
    IMPORT = "import"
    THIRD_PARTY = "third party"
    ASYNC_LIBRARY = "async library"
    RUNTIME = "runtime"
    DENIED = "denied"


PURE_MODULES: Final = frozenset(name.replace(".", "/") for name in PURE)
"""The list of `_purelist` as paths below the library without `.py`."""

ASYNC_MODULES: Final = ("asyncio", "anyio", "trio")

_FIXED: Final = frozenset({Whose.RUNTIME, Whose.IMPORT})
"""Classes that the user has no say in: a half-done transition, or a lock of the import system."""

_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_OWN_APPS: Final = (os.path.join(_PACKAGE, "_cli") + os.sep,)  # the demo's handlers are user code like any other


def _with_separator(paths: set[str]) -> tuple[str, ...]:
    both = {form for path in paths if path for form in (path, os.path.realpath(path))}
    return tuple(sorted((path.rstrip(os.sep) + os.sep for path in both), key=len, reverse=True))


def _site_directories() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    found = {paths["purelib"], paths["platlib"], *getattr(site, "getsitepackages", list)()}
    if site.ENABLE_USER_SITE:
        found.add(site.getusersitepackages())
    found |= {path for path in sys.path if path.endswith(("site-packages", "dist-packages"))}
    return _with_separator(found)


def _stdlib_directories() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return _with_separator({paths["stdlib"], paths["platstdlib"], os.path.dirname(os.__file__)})


class Ownership:
    """Answers `whose` for frames, with what the user said about code."""

    def __init__(self, allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()) -> None:
        """Start with an empty memory; `allow` and `deny` are places as the knobs of these names have them."""
        self._policies: tuple[SafePointPolicy, ...] = (SafePointPolicy(allow=allow, deny=deny),)
        self._site = _site_directories()
        self._stdlib = _stdlib_directories()
        self._forget()

    def under(self, policy: SafePointPolicy) -> Ownership:
        """Return the ownership of a task that has a policy of its own: added to what is said here."""
        new = object.__new__(Ownership)
        new._policies = (*self._policies, policy)
        new._site, new._stdlib = self._site, self._stdlib
        new._forget()
        return new

    def _forget(self) -> None:
        self._rules = Rules(self._policies)
        self._known: dict[str, Whose] = {}
        self._named: dict[str, tuple[Named, ...]] = {}  # files met, with the functions of them that policies speak of

    def whose(self, frame: FrameType) -> Whose:
        """Return the class of a frame's code."""
        code = frame.f_code
        known = self._known.get(code.co_filename)
        if known is None:
            known = self._look(code.co_filename, frame)
        if (MARKED or self._rules.functions) and known not in _FIXED:
            said = of_function(code, self._functions_in(code.co_filename, frame))
            if said is not None:
                return Whose.USER if said else Whose.DENIED
        return known

    def to_allow(self, frame: FrameType) -> str:
        """Return the value of PREEMPTIO_ALLOW that makes the package of a frame the user's; "" if none would.

        What is allowed already stays in it. Of a namespace package only the part that the frame is in is named.
        """
        filename = frame.f_code.co_filename
        if self.whose(frame) not in (Whose.THIRD_PARTY, Whose.ASYNC_LIBRARY):
            return ""
        module = max(self._modules(_real_name(filename, frame), frame), key=len, default="")
        package, _, rest = module.partition(".")
        while rest and getattr(sys.modules.get(package), "__file__", None) is None:
            head, _, rest = rest.partition(".")
            package = f"{package}.{head}"
        said = [entry for policy in self._policies for entry in policy.allow if isinstance(entry, str)]
        return ",".join(dict.fromkeys([*said, package])) if package else ""

    def _look(self, filename: str, frame: FrameType) -> Whose:
        known = self._classify(filename, frame)
        if known not in _FIXED:
            real = _real_name(filename, frame)
            said = self._rules.of_file(real, self._modules(real, frame))
            if said is not None:
                known = Whose.USER if said else Whose.DENIED
        if not filename.startswith("<"):  # generated code: many modules share a name like <string>
            self._known[filename] = known
        return known

    def _functions_in(self, filename: str, frame: FrameType) -> tuple[Named, ...]:
        named = self._named.get(filename)
        if named is None:
            real = _real_name(filename, frame)
            named = self._rules.functions_in(real, self._modules(real, frame))
            if not filename.startswith("<"):
                self._named[filename] = named
        return named

    def _classify(self, filename: str, frame: FrameType) -> Whose:
        if filename.startswith("<frozen"):
            return Whose.IMPORT if "importlib" in filename or "zipimport" in filename else Whose.STDLIB
        filename = _real_name(filename, frame)
        if not filename:
            return Whose.USER
        if filename.startswith(_PACKAGE):
            return Whose.USER if filename.startswith(_OWN_APPS) else Whose.RUNTIME
        for base in self._site:
            if filename.startswith(base):
                return Whose.ASYNC_LIBRARY if _knows_async(frame.f_globals) else Whose.THIRD_PARTY
        for base in self._stdlib:
            if filename.startswith(base):
                return _stdlib_class(filename[len(base) :])
        return Whose.USER

    def _modules(self, filename: str, frame: FrameType) -> set[str]:
        """Return the names that a frame's module goes by: that of its globals, and that which its path would have."""
        name = frame.f_globals.get("__name__")
        names = {name} if isinstance(name, str) else set()
        if name == "__main__":  # python -m
            names.add(str(getattr(frame.f_globals.get("__spec__"), "name", name)))
        for base in (*self._site, *self._stdlib):
            if filename.startswith(base):
                below = filename[len(base) :].removesuffix(".py").replace(os.sep, ".")
                names.add(below.removesuffix(".__init__"))
                break
        return names


def _real_name(filename: str, frame: FrameType) -> str:
    """Return the normal form of the path of a frame's file; "" if it has none, or a relative one.

    What exec, dataclasses and attrs generate belongs to the module that it runs in. Only scripts have relative names:
    libraries are imported by absolute paths.
    """
    if filename.startswith("<"):
        filename = str(frame.f_globals.get("__file__") or "")
    return os.path.normpath(filename) if os.path.isabs(filename) else ""


def _knows_async(names: dict[str, object]) -> bool:
    """Report whether a module imported an async library, or anything from one."""
    if any(name in names for name in ASYNC_MODULES):
        return True
    homes = {str(getattr(value, "__module__", "")).partition(".")[0] for value in list(names.values())}
    return not homes.isdisjoint(ASYNC_MODULES)


def _stdlib_class(below: str) -> Whose:
    if below.startswith("importlib" + os.sep):
        return Whose.IMPORT
    module = below.removesuffix(".py").replace(os.sep, "/")
    while module:
        if module in PURE_MODULES:
            return Whose.PURE
        module = module.rpartition("/")[0]
    return Whose.STDLIB
