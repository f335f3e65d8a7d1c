"""A FastAPI service that answers /health while it computes /similar, with a budget for each request.

    python examples/02_fastapi_service.py            drives itself, plain and preempted, and ends
    python examples/02_fastapi_service.py serve      serves on port 8080, for curl, until Ctrl-C

/similar compares the sources of two modules with difflib, in pure Python. On plain asyncio every health check waits for
it, and nothing ends one that asks for letters, which takes minutes. Needs fastapi and uvicorn. As a command it would be
`uvicorn --loop preemptio:new_event_loop module:app`.
"""

import asyncio
import contextlib
import difflib
import importlib.util
import sys
import time

import uvicorn
from fastapi import FastAPI

import preemptio
from preemptio.asgi import CPUBudget

service = FastAPI()


def source(module, by):
    """Return a module's source as words or letters."""
    with open(importlib.util.find_spec(module).origin, encoding="utf-8") as file:
        return file.read().split() if by == "words" else file.read()


@service.get("/health")
async def health():
    """Say that all is well."""
    return "ok"


@service.get("/similar/{one}/{other}")
async def similar(one: str, other: str, by: str = "words"):
    """Say how alike two modules are. An ordinary handler: it does not know that this takes long."""
    return difflib.SequenceMatcher(None, source(one, by), source(other, by), autojunk=False).ratio()


budgeted = CPUBudget(service, cpu=1.0, nice={"/health": -5})  # ASGI middleware; needs a loop of preemptio's


async def get(port, path):
    """Ask for a path; return the status line, the body, and the seconds it took."""
    start = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head.splitlines()[0].decode(), body.decode().strip(), time.perf_counter() - start


@contextlib.asynccontextmanager
async def serving(app):
    """Serve an application in this loop; yield the port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


async def drive(label, app):
    """Start two comparisons, and check the health until both are answered."""
    async with serving(app) as port:
        await get(port, "/health")
        tasks = [asyncio.create_task(get(port, "/similar/dataclasses/enum")) for _ in range(2)]
        checks = []
        while not all(task.done() for task in tasks):
            checks.append((await get(port, "/health"))[2])
            await asyncio.sleep(0.01)
        answers = {task.result()[1] for task in tasks}
        print(f"{label:9} similar: {answers}, {len(checks):3} x /health, slowest {max(checks) * 1000:6.1f} ms")
        if app is budgeted:
            print("by letters:", (await get(port, "/similar/dataclasses/enum?by=letters"))[0])
    return len(checks)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        print("try: curl localhost:8080/similar/dataclasses/enum & curl localhost:8080/health")
        uvicorn.run(budgeted, port=8080, loop="preemptio:new_event_loop")
    else:
        frozen = asyncio.run(drive("plain", service))
        kept = preemptio.run(drive("preempted", budgeted))
        print("health was checked meanwhile:", kept > 4 * frozen)
