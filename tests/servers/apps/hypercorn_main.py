"""hypercorn has no plug for a loop: its serve() runs on ours."""

import asyncio
import signal
import sys

import hypercorn.asyncio
from asgi_app import app

import preemptio


async def main():
    config = hypercorn.Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await hypercorn.asyncio.serve(app, config, shutdown_trigger=stop.wait)


preemptio.run(main())
