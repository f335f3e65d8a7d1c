"""The same service on aiohttp; run by itself on the port that it is given, or by gunicorn."""

import asyncio
import sys

from aiohttp import web
from work import compute

import preemptio


async def health(_request):
    return web.json_response(
        {"loop": type(asyncio.get_running_loop()).__name__, "task": type(asyncio.current_task()).__name__}
    )


async def crunch(_request):
    return web.json_response({"total": compute()})


app = web.Application()
app.add_routes([web.get("/health", health), web.get("/crunch", crunch)])


if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), loop=preemptio.new_event_loop(), print=None)
