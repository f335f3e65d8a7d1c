"""gunicorn's workers on loops of preemptio: the worker that each package has, and one method of it.

A class is made when it is asked for, since each needs another package; gunicorn asks for one, by name.

Context: gunicorn's arbiter, before it forks; the methods in the worker process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from preemptio._aio._loops import new_event_loop


def _uvicorn() -> type[Any]:
    from uvicorn_worker import UvicornWorker as Base

    class UvicornWorker(Base):  # type: ignore[misc]
        """uvicorn's worker, of the package uvicorn-worker."""

        CONFIG_KWARGS = {**Base.CONFIG_KWARGS, "loop": "preemptio:new_event_loop"}  # noqa: RUF012 - as the base has it

    return UvicornWorker


def _native() -> type[Any]:
    from gunicorn.workers.gasgi import ASGIWorker as Base

    class ASGIWorker(Base):  # type: ignore[misc]
        """gunicorn's own ASGI worker."""

        def _setup_event_loop(self) -> None:
            self.loop = new_event_loop()
            asyncio.set_event_loop(self.loop)

    return ASGIWorker


def _aiohttp() -> type[Any]:
    from aiohttp.worker import GunicornWebWorker as Base

    class AiohttpWorker(Base):
        """aiohttp's worker, for aiohttp.web applications."""

        def run(self) -> None:
            """Serve, on another loop than the one that the base has made after the fork."""
            self.loop.close()
            self.loop = new_event_loop()
            asyncio.set_event_loop(self.loop)
            super().run()

    return AiohttpWorker


WORKERS: Final[dict[str, tuple[Callable[[], type[Any]], str]]] = {
    "UvicornWorker": (_uvicorn, "gunicorn uvicorn-worker"),
    "ASGIWorker": (_native, "'gunicorn>=24'"),
    "AiohttpWorker": (_aiohttp, "gunicorn aiohttp"),
}
"""Each worker: what makes it, and what has to be installed for that."""


def worker(name: str) -> type[Any]:
    """Return a worker class.

    Raises:
        AttributeError: there is none of this name.
        ImportError: what it is based on is not installed.
    """
    if name not in WORKERS:
        msg = f"preemptio.gunicorn has no {name!r}; it has {', '.join(WORKERS)}"
        raise AttributeError(msg)
    make, needs = WORKERS[name]
    try:
        made = make()
    except ImportError as exc:
        msg = f"preemptio.gunicorn.{name} needs a package that is not installed ({exc}): pip install {needs}"
        raise ImportError(msg) from exc
    made.__module__ = "preemptio.gunicorn"
    made.__qualname__ = name
    return made
