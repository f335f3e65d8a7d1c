"""The same service on Sanic."""

import asyncio

from sanic import Sanic, json
from work import compute

app = Sanic("work")


@app.get("/health")
async def health(_request):
    return json({"loop": type(asyncio.get_running_loop()).__name__, "task": type(asyncio.current_task()).__name__})


@app.get("/crunch")
async def crunch(_request):
    return json({"total": compute()})
