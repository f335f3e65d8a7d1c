"""What the figures belong to: the machine and the versions, of which a file has one, and the code, which each names.

The load of the machine is recorded beside each benchmark (`_results.py`): it changes while one runs.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import os
import platform
import re
import subprocess
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    *("greenlet", "structlog", "uvloop", "gevent", "trio", "hdrhistogram"),
    *("fastapi", "uvicorn", "aiomonitor", "ray", "objgraph", "pympler", "guppy3"),
)
CODE = ("preemptio", "benchmarks")
PAGES = "benchmarks/report"
"""Neither measured nor measuring."""


def describe() -> dict[str, Any]:
    """Return the machine, the kernel's HZ and the versions. All of it is JSON."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "cpu": cpu_model(),
        "cpus": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "hz": kernel_hz(),
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := version_of(name))},
    }


def code_state() -> dict[str, Any]:
    """Return the hash of the code, the commit, and whether the measured code differs from it. All of it is JSON."""
    return {"code": digest()} | git_state()


def cpu_model() -> str:
    """Return what the kernel calls the processor."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def kernel_hz() -> dict[str, Any]:
    """Return the timer interrupts a second, and how that is known: a coarse clock moves once in each."""
    release = platform.release()
    for path, read in (("/proc/config.gz", gzip.open), (f"/boot/config-{release}", open)):
        try:
            with read(path, "rt") as file:
                found = re.search(r"^CONFIG_HZ=(\d+)$", file.read(), re.MULTILINE)
        except OSError:
            continue
        if found:
            return {"hz": int(found[1]), "from": path}
    coarse = getattr(time, "CLOCK_MONOTONIC_COARSE", 6 if platform.system() == "Linux" else None)
    if coarse is None:
        return {"hz": None, "from": "no coarse clock here"}
    return {"hz": round(1 / time.clock_getres(coarse)), "from": "the resolution of CLOCK_MONOTONIC_COARSE"}


def version_of(name: str) -> str | None:
    """Return a package's version, None if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def digest(root: Path = ROOT) -> str:
    """Return a hash of the code that is measured and of the code that measures."""
    found = hashlib.sha256()
    for path in sorted(path for part in CODE for path in (root / part).rglob("*") if path.suffix in (".py", ".go")):
        if not path.is_relative_to(root / PAGES):
            found.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def git_state() -> dict[str, Any]:
    """Return the commit, and whether the measured code differs from it."""
    try:
        commit, dirty = (
            subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=True).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", *CODE, f":!{PAGES}"])
        )
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": bool(dirty)}
