"""The service that the benchmark `service` drives: FastAPI, with a long computation in the place that HOW says."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ProcessPoolExecutor

from fastapi import FastAPI

from benchmarks._work import spin

HOW = os.environ.get("HOW", "loop")
UNITS = int(os.environ.get("UNITS", "1"))

app = FastAPI()
pools: list[ProcessPoolExecutor] = []


@app.get("/health")
async def health() -> str:
    """Answer at once: 200 times a second, whatever else is asked for."""
    return "ok"


@app.get("/crunch")
async def crunch() -> int:
    """Compute, where a service may do that."""
    if HOW == "thread":
        return await asyncio.to_thread(spin, UNITS)
    if HOW == "process":
        if not pools:
            pools.append(ProcessPoolExecutor(os.cpu_count()))
        return await asyncio.get_running_loop().run_in_executor(pools[0], spin, UNITS)
    return spin(UNITS)


def preempted_asyncio() -> asyncio.AbstractEventLoop:
    """Make the preempted loop on asyncio's own; for `uvicorn --loop`."""
    import preemptio  # the stock sides must not see it

    return preemptio.new_event_loop(asyncio.SelectorEventLoop)


def preempted_uvloop() -> asyncio.AbstractEventLoop:
    """Make it on uvloop."""
    import uvloop

    import preemptio

    return preemptio.new_event_loop(uvloop.Loop)
