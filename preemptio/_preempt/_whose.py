"""Whose code a frame is: the classes of the whose-code rule.

Problem. Between two awaits asyncio code runs alone, and libraries are written on that: preempting inside
asyncio.Queue breaks it within a second. The user's own handlers and helpers are not written on that, or at least
their author chose preemption.

What we do. A file belongs to one of five classes, found once per file name. The standard library is split: modules
that keep state of their own between calls, or that others rely on to run alone, are STDLIB; the few that only compute
on their arguments are PURE. Third-party code is preempted like a thread would be, unless its module knows asyncio,
anyio or trio: such code assumes that nothing runs between its awaits. Named packages (PREEMPTIO_ALLOW) are USER.

Context: tick handler and trace callback: a dictionary look-up by file name, no locks, no I/O after the first look.
"""

from __future__ import annotations

import enum
import os
import site
import sys
import sysconfig
from types import FrameType
from typing import Final


class Whose(enum.Enum):
    """Who is answerable for a file."""

    USER = "user"
    PURE = "pure"
    STDLIB = "stdlib"
    IMPORT = "import"
    THIRD_PARTY = "third party"
    ASYNC_LIBRARY = "async library"
    RUNTIME = "runtime"


# fmt: off
PURE_MODULES: Final = frozenset((
    "_pydecimal", "_pydatetime", "ast", "base64", "bisect", "colorsys", "copy",
    "csv", "datetime", "decimal", "difflib", "dis", "fnmatch", "fractions", "graphlib", "heapq", "html",
    "ipaddress", "json", "keyword", "math", "numbers", "opcode", "operator", "pprint", "quopri", "random",
    "re", "shlex", "sre_compile", "sre_parse", "statistics", "string", "stringprep", "struct",
    "symtable", "textwrap", "token", "tokenize", "typing", "unicodedata", "urllib/parse", "xml/etree",
    "zoneinfo",
))
# fmt: on
"""Standard-library modules whose frames may be preempted, as paths below the library without `.py`."""

ASYNC_MODULES: Final = ("asyncio", "anyio", "trio")

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
    """Answers `whose` for frames, with the packages that the user named as their own."""

    def __init__(self, allow: tuple[str, ...] = ()) -> None:
        """Start with an empty memory; `allow` names packages to treat as the user's."""
        self._allow = tuple(name.replace(".", os.sep) for name in allow)
        self._site = _site_directories()
        self._stdlib = _stdlib_directories()
        self._known: dict[str, Whose] = {}

    def whose(self, frame: FrameType) -> Whose:
        """Return the class of the file that a frame's code is in."""
        filename = frame.f_code.co_filename
        known = self._known.get(filename)
        if known is None:
            known = self._classify(filename, frame)
            if not filename.startswith("<"):  # generated code: many modules share a name like <string>
                self._known[filename] = known
        return known

    def _classify(self, filename: str, frame: FrameType) -> Whose:
        if filename.startswith("<frozen"):
            return Whose.IMPORT if "importlib" in filename or "zipimport" in filename else Whose.STDLIB
        if filename.startswith("<"):  # exec, dataclasses, a prompt: it belongs to the module that it runs in
            filename = str(frame.f_globals.get("__file__") or "")
            if not filename:
                return Whose.USER
        if not os.path.isabs(filename):
            return Whose.USER  # a script started by its relative name; libraries are imported by absolute paths
        filename = os.path.normpath(filename)
        if filename.startswith(_PACKAGE):
            return Whose.USER if filename.startswith(_OWN_APPS) else Whose.RUNTIME
        for base in self._site:
            if filename.startswith(base):
                return self._third_party(filename[len(base) :], frame)
        for base in self._stdlib:
            if filename.startswith(base):
                return _stdlib_class(filename[len(base) :])
        return Whose.USER

    def _third_party(self, below: str, frame: FrameType) -> Whose:
        for name in self._allow:
            if below == f"{name}.py" or below.startswith(name + os.sep):
                return Whose.USER
        return Whose.ASYNC_LIBRARY if _knows_async(frame.f_globals) else Whose.THIRD_PARTY


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
