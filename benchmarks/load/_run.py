"""One cell: one peer, one scene, one process."""

from __future__ import annotations

import dataclasses
import json
import select
import subprocess
import tempfile
from typing import Any

from benchmarks._worker import WorkerError
from benchmarks.load._client import drive
from benchmarks.load._hogs import CHUNK
from benchmarks.load._peers import Peer
from benchmarks.load._scene import Scene

PATIENCE = 120.0
"""Seconds of silence that count as hung: a turn of 512 jobs on a loop that nothing preempts takes ten."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one process told."""

    late: list[float]
    share: float  # of the CPU time that went into the hogs' work: the rest is switching, probes and waiting for a lock
    speed: float  # work a second of wall clock, in CPUs: what the machine's other work leaves; processes may have two
    cpus: float  # that the process had: less than one is what the machine's other work took
    sender_late: float  # the 99th percentile of how late the client itself sent, in milliseconds


def run_cell(name: str, peer: Peer, scene: Scene) -> Outcome:
    """Start the peer's process, probe it and end it; raise WorkerError when it fails."""
    scene = dataclasses.replace(scene, **peer.scene)
    # what the runtime reports about hogs is not for whoever watches a benchmark, unless it explains a failure
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(peer.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
        try:
            late, sender_late, told = _play(process, scene)
        except (WorkerError, OSError) as error:
            said.seek(0)
            raise WorkerError(f"{name}: {error}\n{said.read()[-2000:]}") from None
        finally:
            process.kill()
            process.communicate()
    work = told["chunks"] * CHUNK
    return Outcome(late, work / told["cpu"], work / told["elapsed"], told["cpu"] / told["elapsed"], sender_late * 1e3)


def _play(process: subprocess.Popen[bytes], scene: Scene) -> tuple[list[float], float, dict[str, Any]]:
    """Send the scene, be its client if it has one, and return the latencies, the sender's own and the answer."""
    assert process.stdin is not None
    process.stdin.write(json.dumps(dataclasses.asdict(scene)).encode() + b"\n")
    process.stdin.flush()
    if scene.probe == "echo":
        port = int(_line(process))
        late, sender_late = drive(port, scene.connections, scene.size, scene.due, PATIENCE)
        return late, sender_late, json.loads(_line(process))
    told = json.loads(_line(process))
    return told["late"], 0.0, told


def _line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], PATIENCE)[0]:
        raise WorkerError(f"silent for {PATIENCE:.0f} s")
    line = process.stdout.readline()
    if not line:
        raise WorkerError(f"died with exit code {process.wait()}")
    return line
