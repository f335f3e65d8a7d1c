"""Starlette's test client runs the application in a thread, on a loop that a function of the caller's makes."""

import json

from beside import check
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import preemptio


async def endpoint(_request):
    return JSONResponse(await check())


app = Starlette(routes=[Route("/", endpoint)])
with TestClient(app, backend_options={"loop_factory": preemptio.new_event_loop}) as client:
    print(json.dumps(client.get("/").json()))
