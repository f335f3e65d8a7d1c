"""Programs that need a process of their own: signals, timers and trace functions are the process's."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run_program(source, **environ):
    """Run a program with warnings as errors and return what it printed: one value as JSON."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREEMPTIO_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "faulthandler", "-c", textwrap.dedent(source)],
        env={**clean, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])
