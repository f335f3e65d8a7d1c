"""Who is compared: this library at four slices on two loops, and what else one could do."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SLICES_MS = (0.2, 1.0, 5.0, 10.0)
GO_SOURCE = Path(__file__).resolve().parents[1] / "peers" / "load.go"


@dataclasses.dataclass(frozen=True)
class Peer:
    """One of them: how its process is started and what its scene says besides."""

    family: str  # what a plot gives one colour
    module: str = "_asyncio"
    scene: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    needs: str | None = None  # a package besides
    slice_ms: float | None = None

    def command(self) -> list[str]:
        """Return what starts it."""
        return [sys.executable, "-m", f"benchmarks.load.{self.module}"]

    def missing(self) -> str | None:
        """Return why it cannot be run here, None if it can."""
        if self.needs is None or importlib.util.find_spec(self.needs) is not None:
            return None
        return f"{self.needs} is not installed. Type: pip install {self.needs}"


class Go(Peer):
    """The same program in Go, built when it is first asked for."""

    def command(self) -> list[str]:
        """Return the built program, on one processor as Python's loop is."""
        return ["env", "GOMAXPROCS=1", str(self._program())]

    def missing(self) -> str | None:
        """Build it."""
        if shutil.which("go") is None:
            return "no Go toolchain on PATH. Type, for example: apt-get install golang-go"
        if self._program().exists() and self._program().stat().st_mtime > GO_SOURCE.stat().st_mtime:
            return None
        built = subprocess.run(
            ["go", "build", "-o", self._program(), GO_SOURCE], capture_output=True, text=True, check=False
        )
        return f"go build failed: {built.stderr.strip()}" if built.returncode else None

    def _program(self) -> Path:
        return Path(tempfile.gettempdir()) / f"preemptio-benchmarks-{os.getuid()}" / "load"


def ours(loop: str, slice_ms: float) -> str:
    """Return the name of this library on a loop, with a slice."""
    return f"preemptio, {loop}, {slice_ms:g} ms"


def peers(loops: Sequence[str]) -> dict[str, Peer]:
    """Return all peers, ours on the loops that were asked for."""
    found: dict[str, Peer] = {}
    for loop in loops:
        for ms in SLICES_MS:
            scene = {"how": "preempted", "base": loop, "slice": ms / 1e3}
            found[ours(loop, ms)] = Peer(f"preemptio, {loop}", scene=scene, slice_ms=ms)
    for loop in loops:
        found[loop] = Peer(loop, scene={"base": loop})
    return found | {
        "sleep(0) each ms": Peer("sleep(0) each ms", scene={"how": "sprinkled"}),
        "to_thread": Peer("to_thread", scene={"how": "to_thread"}),
        "thread pool, 0.5 ms switch": Peer("thread pool, 0.5 ms switch", scene={"how": "threads"}),
        "process pool": Peer("process pool", scene={"how": "processes"}),
        "gevent": Peer("gevent", "_gevent", needs="gevent"),
        "trio, to_thread": Peer("trio, to_thread", "_trio", needs="trio"),
        "Go": Go("Go"),
    }
