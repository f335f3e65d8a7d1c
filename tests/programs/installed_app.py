"""An application that lies in site-packages is told which line to set, and is preempted with it, as with the decorator.

Uninjected: which refusal comes first
Exit: 0
Says: PREEMPTIO_ALLOW=installed_app,
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from _common import preempted, run

import preemptio

SOURCE = '''
import asyncio
import time

import preemptio


async def handler(seconds=0.2):
    """What a server would call."""
    end = time.process_time() + seconds
    n = 0
    while time.process_time() < end:
        n += 1
    await asyncio.sleep(0)


@preemptio.preemptible
async def declared():
    end = time.process_time() + 0.2
    n = 0
    while time.process_time() < end:
        n += 1
'''


async def beats(handler, *args, policy=None):
    """Return how often the handler was preempted, and how often others ran meanwhile."""
    task = preemptio.go(handler, *args, policy=policy)
    count = 0
    while not task.done():
        await asyncio.sleep(0.001)
        count += 1
    await asyncio.sleep(0.01)  # for the report
    return preempted(task), count


with tempfile.TemporaryDirectory() as directory:
    package = Path(directory, "site-packages", "installed_app")
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "handlers.py").write_text(SOURCE)
    sys.path.insert(0, str(package.parent))
    from installed_app.handlers import declared, handler

    start = time.monotonic()
    taken, count = run(beats(handler, 1.0))
    assert taken == 0
    assert count < 10, count

    taken, count = run(beats(handler, policy=preemptio.SafePointPolicy(allow=["installed_app"])))
    assert taken > 5, taken
    assert count > 10, count
    taken, count = run(beats(declared))
    assert taken > 5, taken
    with preemptio.config.override(allow="installed_app"):
        taken, count = run(beats(handler))
    assert taken > 5, taken
    assert time.monotonic() - start < 40
print("OK")
