"""gevent.monkey.patch_all() before the start: refused, because threads, locks and thread-locals are greenlets' then.

Exit: 0
"""

import gevent.monkey

gevent.monkey.patch_all()

import asyncio  # noqa: E402

from _common import run  # noqa: E402

import preemptio  # noqa: E402


async def main():
    raise AssertionError("it must not start")


async def install():
    try:
        preemptio.install(asyncio.get_running_loop())
    except preemptio.UnsupportedError:
        return "refused"


start = main()
try:
    run(start)
except preemptio.UnsupportedError as exc:
    assert "gevent.monkey" in str(exc)
    assert "without patch_all()" in str(exc)
else:
    raise AssertionError("it started")
finally:
    start.close()
with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
    assert runner.run(install()) == "refused"
print("OK")
