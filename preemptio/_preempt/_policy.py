"""What the user says about code: `SafePointPolicy`, for a task or a loop, and `@preemptible`, for a function.

Problem. The classes of code are found by where a file lies, and a file's place does not say who has read it: an
application installed into site-packages is a library by its path, and a module of the program's own may have been
written for asyncio's world. A rule by package is too coarse for one function, and a rule by process for one task.

What does not work. To name functions by code objects alone: those of modules that are not imported yet have none. A
dictionary with code objects as keys: they are compared by content, so two equal functions of two files are one key,
and hashing one walks all its instructions. Hence identities, with a weak reference that takes them back.

What we do. A policy is two tuples of places, allowed and denied. What it does not mention keeps its class. Where
several entries speak of a frame the more specific wins: function before file before module, and among those of one kind
the longer name; at the same place deny wins. A task's policy is added to the loop's, by the same rule. Files and
modules are settled once per file; only in files that a function is named of is each code object asked.

Invariants. The runtime's own frames and those of imports cannot be allowed. A policy never changes.

Context: policies are made anywhere; `Rules` is asked in the tick handler and in trace callbacks, without I/O.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from types import CodeType, FunctionType
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar
from weakref import WeakSet, ref

from preemptio._places import ACCEPTS, is_path, parse_place

F = TypeVar("F", bound=Callable[..., Any])

Code: TypeAlias = "str | os.PathLike[str] | Callable[..., Any]"
"""How a user names code: see SafePointPolicy."""

MARKED: Final[dict[int, tuple[ref[CodeType], int]]] = {}
"""Identities of the code objects below `@preemptible`, each with the length of the function's qualified name."""


@dataclass(frozen=True, slots=True, init=False)
class SafePointPolicy:
    """Whose code may be preempted, beyond the default rule: for `preemptio.go(fn, policy=...)`.

    An entry is a module or package with all below it ("my_app", "my_app.reports"), a file or a directory
    ("/srv/app/jobs.py" or a pathlib.Path), or a function (the function itself or "module:qualname"; a class by its
    name, "module:Class", for all of its methods). Of several that speak of the same code the more specific wins:
    function before file before module, the longer name before the shorter. At the same place deny wins.

    Args:
        allow: code to treat as the program's own: its coroutines own their steps, its functions may be stopped.
        deny: code that is never preempted, nor anything that it calls.

    Raises:
        TypeError: an entry is neither text, path nor a function written in Python.
        ValueError: text is neither a module, a function nor a path.

    The policy is added to the loop's (`config.allow`, `config.deny`). Context: made anywhere; it never changes.

    Example:
        >>> import preemptio
        >>> policy = preemptio.SafePointPolicy(allow=["my_lib"], deny=["my_lib.pool:Pool.take"])
        >>> policy.allow
        ('my_lib',)
        >>> async def main():
        ...     return await preemptio.go(sum, [1, 2, 3], policy=policy)
        >>> preemptio.run(main())
        6
    """

    allow: tuple[str | FunctionType, ...]
    deny: tuple[str | FunctionType, ...]

    def __init__(self, *, allow: Iterable[Code] = (), deny: Iterable[Code] = ()) -> None:
        """Check and keep the entries."""
        object.__setattr__(self, "allow", _entries("allow", allow))
        object.__setattr__(self, "deny", _entries("deny", deny))


def _entries(field: str, given: Iterable[Code]) -> tuple[str | FunctionType, ...]:
    several: object = given
    if isinstance(several, (str, os.PathLike)) or not isinstance(several, Iterable):
        msg = f"SafePointPolicy({field}=...) takes a list; type {field}=[{given!r}]"
        raise TypeError(msg)
    return tuple(dict.fromkeys(_entry(field, one) for one in several))


def _entry(field: str, one: object) -> str | FunctionType:
    if isinstance(one, os.PathLike):
        one = os.path.abspath(os.fsdecode(one))
    if not isinstance(one, str):
        return _function(f"SafePointPolicy({field}=[...])", inspect.unwrap(one) if callable(one) else one)
    try:
        return parse_place(one)
    except ValueError as why:
        msg = f"SafePointPolicy({field}=[{one!r}]): {why}. Accepted: {ACCEPTS}. Type, for example: {field}=['my_lib']"
        raise ValueError(msg) from None


def _function(who: str, thing: object) -> FunctionType:
    found = getattr(thing, "__func__", thing)  # a method
    if isinstance(found, FunctionType):
        return found
    msg = f"{who} takes a function written in Python, not {thing!r}; a class is named by text: 'module:Class'"
    raise TypeError(msg)


def preemptible(fn: F) -> F:
    """Declare that the code of a function may be preempted, wherever its file lies.

    For authors of libraries: a coroutine below it owns its steps, a plain function may be stopped, in every program
    that uses the library. What it calls is judged by itself, and what calls it as well. Its opposite, for a region or a
    whole function, is `preemptio.nopreempt`; a policy that denies this very function overrules it.

    Args:
        fn: a function written in Python, sync or async. Put this decorator closest to the `def`.

    Returns:
        The same function.

    Raises:
        TypeError: `fn` is not a function written in Python, or is decorated already.

    Context: at import or later, any thread.

    Example:
        >>> import preemptio
        >>> @preemptio.preemptible
        ... def count(n):
        ...     return sum(i for i in range(n))
        >>> count(4)
        6
    """
    function = _function("preemptible", fn)
    if function is not fn or hasattr(fn, "__wrapped__"):
        msg = f"preemptible is to stand closest to the `def` of {function.__qualname__}, below other decorators"
        raise TypeError(msg)
    for code in codes_of(function.__code__):
        MARKED[id(code)] = ref(code, partial(_unmark, id(code))), len(function.__qualname__)
    for watcher in list(WATCHERS):
        watcher.forget()
    return fn


class Watcher(Protocol):
    """Somebody who remembers what was said of code."""

    def forget(self) -> None:
        """Forget it: a function has been declared preemptible."""


WATCHERS: Final[WeakSet[Watcher]] = WeakSet()


def _unmark(key: int, _gone: ref[CodeType]) -> None:
    MARKED.pop(key, None)


def codes_of(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and those of the functions, comprehensions and generators written in it."""
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from codes_of(const)


class Named(NamedTuple):
    """A function that a policy speaks of."""

    home: str  # its module, or its file if the function itself was given
    qualname: str
    codes: frozenset[int] | None  # identities; None: whatever has the name
    allowed: bool

    def speaks_of(self, code: CodeType) -> bool:
        """Report whether it is this code's function, or one around it."""
        if self.codes is not None:
            return id(code) in self.codes
        return f"{code.co_qualname}.".startswith(f"{self.qualname}.")


class Rules:
    """Policies, in the form in which they are asked."""

    def __init__(self, policies: Iterable[SafePointPolicy]) -> None:
        """Sort the entries by kind."""
        self._policies = tuple(policies)  # they keep the functions, and so the identities of their code, alive
        self._places: dict[str, bool] = {}
        self.functions: list[Named] = []
        for policy in self._policies:
            for entries, allowed in ((policy.allow, True), (policy.deny, False)):
                for entry in entries:
                    self._add(entry, allowed)

    def _add(self, entry: str | FunctionType, allowed: bool) -> None:
        if isinstance(entry, FunctionType):
            codes = frozenset(map(id, codes_of(entry.__code__)))
            self.functions.append(Named(entry.__code__.co_filename, entry.__qualname__, codes, allowed))
        elif ":" in entry and not is_path(entry):
            module, _, qualname = entry.partition(":")
            self.functions.append(Named(module, qualname, None, allowed))
        else:
            for form in {entry, os.path.realpath(entry)} if is_path(entry) else {entry}:
                self._places[form] = allowed and self._places.get(form, True)

    def of_file(self, filename: str, modules: Iterable[str]) -> bool | None:
        """Say whether a file is allowed or denied; None: nobody speaks of it. `modules`: the names it goes by."""
        said = self._nearest(filename, os.sep) if filename else None
        if said is not None:
            return said
        for module in sorted(modules, key=len, reverse=True):
            said = self._nearest(module, ".")
            if said is not None:
                return said
        return None

    def _nearest(self, name: str, separator: str) -> bool | None:
        while name:
            said = self._places.get(name)
            if said is not None:
                return said
            name = name.rpartition(separator)[0]
        return None

    def functions_in(self, filename: str, modules: Iterable[str]) -> tuple[Named, ...]:
        """Return those entries for functions that may be in a file."""
        homes = {filename, *modules}
        return tuple(named for named in self.functions if named.home in homes)


def of_function(code: CodeType, named: Iterable[Named]) -> bool | None:
    """Say whether a function is allowed or denied by name or decorator; None: nobody speaks of it."""
    said = [(len(entry.qualname), not entry.allowed) for entry in named if entry.speaks_of(code)]
    mark = MARKED.get(id(code))
    if mark is not None:
        said.append((mark[1], False))
    return not max(said)[1] if said else None
