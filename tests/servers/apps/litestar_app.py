"""The same service on Litestar."""

import asyncio

from litestar import Litestar, get
from work import compute


@get("/health")
async def health() -> dict[str, str]:
    return {"loop": type(asyncio.get_running_loop()).__name__, "task": type(asyncio.current_task()).__name__}


@get("/crunch")
async def crunch() -> dict[str, int]:
    return {"total": compute()}


app = Litestar([health, crunch], openapi_config=None)
