"""A FastAPI service: what is quick, what computes, and which loop it is on."""

import asyncio
import os

from fastapi import FastAPI
from work import compute

from preemptio.asgi import CPUBudget

app = FastAPI()
if os.environ.get("BUDGET"):
    app.add_middleware(CPUBudget, cpu=float(os.environ["BUDGET"]), nice={"/health": -5, "/crunch": 5})


@app.get("/health")
async def health():
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    return {"loop": type(loop).__name__, "task": type(task).__name__, "pid": os.getpid()}


@app.get("/crunch")
async def crunch():
    return {"total": compute()}
