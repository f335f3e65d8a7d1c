"""info: what is installed, what the settings are, and what preemption can do in this process. The first page of a
bug report.

The facts are gathered as plain data (`facts`), the same for JSON and for people. Tick sources are not described but
tried: each is started and given back, which is what a loop would do, so the answer includes whatever this process
inherited - a timer that runs already, an ignored signal, a container that forbids the system call.

Context: the main thread of a process that runs no loop.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import sysconfig
import textwrap
import threading
from difflib import get_close_matches
from types import FrameType
from typing import Any, Final

from preemptio import __version__
from preemptio._aio._loops import Loop, asyncio_base, default_base, new_event_loop, uvloop_class
from preemptio._compat import unsupported
from preemptio._config import KNOBS, config
from preemptio._core._reasons import Verdict
from preemptio._errors import PreemptioError
from preemptio._preempt._sources import candidates, why_not

PACKAGES: Final = ("greenlet", "uvloop", "structlog", "rich", "aiomonitor")

WIDTH: Final = 100

VERDICTS_HEAD: Final = (
    "A step that has used its slice is preempted when every rule says safe. Else the first rule that objects is "
    "counted in task.g.refusals, and named by print(preemptio.explain()) and print(task.g.why_not_preempted())."
)

NO_RESCUE: Final = "blocking calls block the loop"

SOURCES: Final = {
    "posix": "timer_create, takes SIGURG, Linux only",
    "itimer": "setitimer(ITIMER_REAL), takes SIGALRM",
    "monitor": "a second thread and sys.monitoring, in any thread, CPython 3.12+",
    "none": "no tick: checkpoints only",
}


def info(options: argparse.Namespace) -> int:
    """Print the facts; return 0."""
    if options.verdicts:
        rows = verdicts()
        print(json.dumps(rows, indent=2) if options.json else "\n".join(verdict_lines(rows)))
        return 0
    found = facts()
    print(json.dumps(found, indent=2) if options.json else "\n".join(lines(found)))
    return 0


def facts() -> dict[str, Any]:
    """Gather everything."""
    return {
        "versions": _versions(),
        "platform": _platform(),
        "sources": _sources(),
        "source_now": _opened(config.source),
        "knobs": [_knob(knob) for knob in KNOBS],
        "unknown_variables": _unknown_variables(),
        "support": _support(),
    }


def verdicts() -> list[dict[str, str]]:
    """Return the table of verdicts."""
    return [{"verdict": str(verdict), "meaning": verdict.doc, "advice": verdict.advice} for verdict in Verdict]


def verdict_lines(rows: list[dict[str, str]]) -> list[str]:
    """Lay the table out as text: a paragraph each, since a sentence does not fit into a column."""
    text = [*textwrap.wrap(VERDICTS_HEAD, WIDTH), ""]
    indent = " " * (max(len(row["verdict"]) for row in rows) + 4)
    for row in rows:
        head = f"  {row['verdict']}".ljust(len(indent))
        text += textwrap.wrap(row["meaning"], WIDTH, initial_indent=head, subsequent_indent=indent)
        if row["advice"]:
            first = f"{indent}-> "
            text += textwrap.wrap(row["advice"], WIDTH, initial_indent=first, subsequent_indent=f"{indent}   ")
    return text


def _versions() -> dict[str, str]:
    python = f"{platform.python_version()} ({platform.python_implementation()})"
    found = {"python": python, "preemptio": __version__}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _platform() -> dict[str, str]:
    build = "without the GIL" if sysconfig.get_config_var("Py_GIL_DISABLED") else "with the GIL"
    return {"system": platform.platform(), "build": build, "executable": sys.executable}


def _sources() -> list[dict[str, Any]]:
    return [{"name": name, "works": _opened(name) == name, "about": about} for name, about in SOURCES.items()]


def _opened(choice: str) -> str:
    """Return the source that a loop would take for a value of the knob: the first that can be started."""

    def ignore(_signum: int, _frame: FrameType | None) -> None:
        """Be a handler; nothing is armed."""

    for make in candidates(choice):
        source = make()
        if source.start(ignore):
            source.stop()
            return source.name
    return "none"


def _knob(knob: Any) -> dict[str, str]:
    value = knob.kind.show(getattr(config, knob.name))
    origin = "environment" if os.environ.get(knob.env, "").strip() else "default"
    return {"variable": knob.env, "value": value, "from": origin}


def _unknown_variables() -> dict[str, str]:
    """Return variables that look like knobs and are none, with the knob that was probably meant."""
    known = [knob.env for knob in KNOBS]
    wrong = [name for name in sorted(os.environ) if name.startswith("PREEMPTIO_") and name not in known]
    return {name: next(iter(get_close_matches(name, known, 1)), "") for name in wrong}


def _support() -> list[dict[str, str]]:
    """Return what works here and what does not, with the reason."""
    why = unsupported()
    rows = [("interpreter", "no" if why else "yes", why or "CPython, the main interpreter, with the GIL")]
    if why is None:
        now = _opened(config.source)
        rows.append(("preemption by signal", *_signals(now)))
        rows.append(("loops in other threads", *_elsewhere()))
        rows.append(("asyncio's loop", *_loop(asyncio_base())))
        uvloop = uvloop_class()
        absent = ("no", "not installed. Type: pip install 'preemptio[uvloop]'")
        rows.append(("uvloop's loop", *(absent if uvloop is None else _loop(uvloop))))
    return [{"what": what, "state": state, "why": why} for what, state, why in rows]


def _signals(source: str) -> tuple[str, str]:
    if config.debug.asyncpreemptoff:
        return "no", "PREEMPTIO_DEBUG has asyncpreemptoff=1: checkpoints only"
    if source == "monitor":
        return "yes", f"the tick is monitor, no signal: {NO_RESCUE}"
    if source != "none":
        return "yes", f"the tick is {source}"
    if config.source == "none":
        return "no", "PREEMPTIO_SOURCE=none: checkpoints only"
    if sys.platform == "win32":
        return "no", "Windows has no setitimer: checkpoints only"
    if threading.current_thread() is not threading.main_thread():
        return "no", "this is not the main thread: checkpoints only"
    return "no", "the signals are in use in this process: checkpoints only"


def _elsewhere() -> tuple[str, str]:
    """Open the source there: in a thread."""
    if config.debug.asyncpreemptoff:
        return "partly", "checkpoints only: PREEMPTIO_DEBUG has asyncpreemptoff=1"
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(_opened(config.source)))
    thread.start()
    thread.join()
    if found == ["monitor"]:
        return "yes", f"the tick is monitor: {NO_RESCUE}"
    if config.source in {"auto", "monitor"}:
        return "partly", "checkpoints only: " + why_not("monitor").partition(":")[0]
    return "partly", f"checkpoints only: PREEMPTIO_SOURCE={config.source}"


def _loop(base: type[Loop]) -> tuple[str, str]:
    """Make a loop and look which adapter it has got."""
    try:
        loop: Any = new_event_loop(base)
    except (PreemptioError, OSError) as why:
        return "no", str(why)
    how = "one switch per batch of steps"
    if getattr(loop, "_hops_only", False):
        how = "one switch per step: " + ("asyncio's debug mode" if loop.get_debug() else "its queue was not found")
    loop.close()
    return "yes", how + (", the default here" if base is default_base() else "")


def lines(found: dict[str, Any]) -> list[str]:
    """Lay the facts out as text, without a line that a terminal would have to break in a bad place."""
    sources = [(row["name"], "works" if row["works"] else "off", row["about"]) for row in found["sources"]]
    knobs = [(row["variable"], row["value"] or "(empty)", row["from"]) for row in found["knobs"]]
    text = ["versions", *_columns(found["versions"].items())]
    text += ["", "platform", *_columns(found["platform"].items())]
    text += ["", f"tick sources (a loop would take {found['source_now']} now)", *_columns(sources)]
    text += ["", "settings", *_columns(knobs)]
    for name, meant in found["unknown_variables"].items():
        text.append(f"  {name} is not a setting" + (f". Did you mean {meant}?" if meant else ""))
    return [*text, "", "what works here", *_columns([tuple(row.values()) for row in found["support"]])]


def _columns(rows: Any) -> list[str]:
    rows = list(rows)
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(str(c).ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
