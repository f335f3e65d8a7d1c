"""run: an asyncio program, unchanged, on this runtime.

Problem. The program must not be able to tell who started it: argv, path, `__main__`, tracebacks and the exit status
are what they would be under `python script.py` and `python -m module`.
What does not work: `runpy.run_path` and `runpy.run_module`. They take their `__main__` away again when the program's
last line has run; exit handlers, threads that live on and pickle then find ours in its place.
What we do: the steps of `python` itself, with runpy's own functions where there is one; the new `__main__` stays.

Differences that remain: an uncaught KeyboardInterrupt ends in exit status 130, as a shell would report it, instead
of death by SIGINT; Python processes that the program starts are plain ones.

Context: the main thread; nothing runs after the program but its exit handlers.
"""

from __future__ import annotations

import argparse
import builtins
import contextlib
import importlib.util
import io
import os
import pkgutil
import runpy
import sys
from importlib.machinery import SourceFileLoader, SourcelessFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any

from preemptio._aio._loops import Loop, asyncio_base, uvloop_class
from preemptio._aio._runtime import RuntimeLoop
from preemptio._cli._args import program_name
from preemptio._cli._hooks import hook_loops
from preemptio._cli._refusal import Refusal
from preemptio._compat import check_interpreter
from preemptio._config import config

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep

_runpy: Any = runpy


def run(options: argparse.Namespace) -> int:
    """Run the program; return its exit status, or leave with the SystemExit that it raised.

    Raises:
        Refusal: there is no such program.
        UnsupportedError: this interpreter cannot run preemptio.
    """
    check_interpreter()
    base = base_named(options.loop)
    if options.slice is not None:
        config.slice = options.slice
    hook_loops(base)
    main = _new_main()
    try:
        load = _load_module if options.is_module else _load_script
        code = load(options.target, options.args, main)
        exec(code, main.__dict__)  # noqa: S102 - the program
    except (Refusal, SystemExit):
        raise
    except BaseException as exc:
        exc.__traceback__ = _without_our_frames(exc.__traceback__)
        sys.excepthook(type(exc), exc, exc.__traceback__)
        return 130 if isinstance(exc, KeyboardInterrupt) else 1
    return 0


def base_named(name: str) -> type[Loop] | None:
    """Return the loop class that --loop, --uvloop or --asyncio names; None for "auto"."""
    if name == "asyncio":
        return asyncio_base()
    uvloop = uvloop_class()
    if name == "uvloop" and uvloop is None:
        raise Refusal("uvloop is not installed. Type: pip install 'preemptio[uvloop]'")
    return uvloop if name == "uvloop" else None


def _new_main() -> ModuleType:
    """Put an empty `__main__` in the place of ours, with what the interpreter gives it at its start."""
    before, main = sys.modules["__main__"], ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    if "__annotations__" in vars(before):  # up to 3.13
        main.__annotations__ = {}
    sys.modules["__main__"] = main
    return main


def _load_script(path: str, args: list[str], main: ModuleType) -> CodeType:
    """Do what `python path` does before the first line runs."""
    sys.argv = [path, *args]
    if not os.path.exists(path):
        raise Refusal(f"there is no file {path!r}. {_suggestion(path)}")
    main.__file__ = absolute = os.path.abspath(path)
    if pkgutil.get_importer(absolute) is not None:
        return _load_container(absolute, main)
    _set_path(os.path.dirname(os.path.realpath(path)))
    main.__dict__["__cached__"] = None
    try:
        with io.open_code(absolute) as file:
            content = file.read()
    except OSError as why:
        raise Refusal(f"{path!r} cannot be read: {why.strerror}. {_suggestion()}") from None
    code: CodeType | None = pkgutil.read_code(io.BytesIO(content))  # None unless it is a .pyc
    main.__loader__ = (SourcelessFileLoader if code else SourceFileLoader)("__main__", absolute)
    return code or compile(content, absolute, "exec", dont_inherit=True)


def _load_container(path: str, main: ModuleType) -> CodeType:
    """Do what `python path` does for a directory or a zip file: the program is the `__main__.py` in it."""
    _set_path(path, always=True)
    try:
        _, spec, code = _runpy._get_main_module_details(_runpy._Error)
    except _runpy._Error as why:
        raise Refusal(f"{why}. {_suggestion()}") from None
    return _as_module(main, spec, code)


def _load_module(name: str, args: list[str], main: ModuleType) -> CodeType:
    """Do what `python -m name` does before the first line of the module runs; its packages are imported here."""
    sys.argv = ["-m", *args]
    _set_path(os.getcwd())
    try:
        _, spec, code = _runpy._get_module_details(name, _runpy._Error)
    except _runpy._Error as why:
        raise Refusal(f"{why}. {_suggestion()}") from None
    sys.argv[0] = spec.origin
    return _as_module(main, spec, code)


def _as_module(main: ModuleType, spec: Any, code: CodeType) -> CodeType:
    main.__file__, main.__loader__, main.__spec__ = spec.origin, spec.loader, spec
    main.__package__ = spec.parent
    main.__dict__["__cached__"] = spec.cached
    return code


def _set_path(entry: str, *, always: bool = False) -> None:
    """Put the program's directory where ours is: the first entry of sys.path, unless Python was told to have none."""
    if not sys.flags.safe_path:
        sys.path[0] = entry
    elif always:
        sys.path.insert(0, entry)


def _suggestion(name: str = "") -> str:
    """Say what to type. `name` is what was taken for a script: it may be a module's."""
    here = f"Type, for example: {program_name()} run"
    if os.path.exists(f"{name}.py"):
        return f"{here} {name}.py"
    with contextlib.suppress(ImportError, ValueError):
        if importlib.util.find_spec(name) is not None:
            return f"{here} -m {name}"
    return f"{here} path/to/script.py, or: {program_name()} run -m module"


def _without_our_frames(traceback: TracebackType | None) -> TracebackType | None:
    """Drop the frames that led to the program's first line, and that of the loop's own way to run."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename.startswith(_HERE):
        traceback = traceback.tb_next
    at = traceback
    while at is not None and at.tb_next is not None:
        if at.tb_next.tb_frame.f_code is RuntimeLoop.run_until_complete.__code__:
            at.tb_next = at.tb_next.tb_next
        at = at.tb_next
    return traceback
