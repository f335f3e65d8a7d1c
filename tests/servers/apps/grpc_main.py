"""The same service on grpc.aio; messages are JSON, so that no code has to be generated."""

import asyncio
import json
import signal
import sys

import grpc
from work import compute

import preemptio


async def health(_request, _context):
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    return {"loop": type(loop).__name__, "task": type(task).__name__}


async def crunch(_request, _context):
    return {"total": compute()}


def method(fn):
    return grpc.unary_unary_rpc_method_handler(fn, response_serializer=lambda answer: json.dumps(answer).encode())


async def main():
    server = grpc.aio.server()
    methods = {"health": method(health), "crunch": method(crunch)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("work", methods),))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(grace=5)


preemptio.run(main())
