"""Worker classes for gunicorn: `gunicorn -k preemptio.gunicorn.UvicornWorker app:app`.

`UvicornWorker` is uvicorn's (package uvicorn-worker), `ASGIWorker` gunicorn's own, `AiohttpWorker` aiohttp's, each on a
loop of preemptio.
"""

from preemptio._aio import _gunicorn


def __getattr__(name: str) -> object:
    """Return a worker class; gunicorn asks for it by its name."""
    if name.startswith("__"):
        raise AttributeError(name)
    return globals().setdefault(name, _gunicorn.worker(name))
