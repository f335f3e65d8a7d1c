"""Servers, unmodified, on loops of preemptio: with real requests over real sockets, each in a process of its own."""

import concurrent.futures
import contextlib
import http.client
import os
import pathlib
import signal

import pytest

from tests.servers._server import GrpcServer, Server

UVICORN = ("python", "-m", "uvicorn", "--port", "PORT", "--log-level", "warning")
GUNICORN = ("python", "-m", "gunicorn", "-b", "127.0.0.1:PORT", "--log-level", "warning")
OURS = ("--loop", "preemptio:new_event_loop")
SERVERS = {
    "uvicorn": (*UVICORN, *OURS, "asgi_app:app"),
    "uvicorn, 2 workers": (*UVICORN, *OURS, "--workers", "2", "asgi_app:app"),
    "uvicorn, reload": (*UVICORN, *OURS, "--reload", "--reload-dir", "WORK", "asgi_app:app"),
    "preemptio run": ("python", "-m", "preemptio", "run", "-m", *UVICORN[2:], "asgi_app:app"),
    "hypercorn": ("python", "hypercorn_main.py", "PORT"),
    "granian": ("python", "granian_main.py", "PORT"),
    "gunicorn, uvicorn-worker": (*GUNICORN, "-k", "preemptio.gunicorn.UvicornWorker", "asgi_app:app"),
    "gunicorn, its own": (*GUNICORN, "-k", "preemptio.gunicorn.ASGIWorker", "asgi_app:app"),
    "gunicorn, aiohttp": (*GUNICORN, "-k", "preemptio.gunicorn.AiohttpWorker", "aiohttp_app:app"),
    "aiohttp": ("python", "aiohttp_app.py", "PORT"),
    "grpc.aio": ("python", "grpc_main.py", "PORT"),
    "Litestar": (*UVICORN, *OURS, "litestar_app:app"),
    "Sanic": ("python", "-m", "preemptio", "run", "-m", "sanic", "sanic_app:app", "--single-process", "--port", "PORT"),
    "Sanic, uvicorn": (*UVICORN, *OURS, "sanic_app:app"),
    "Django": (*UVICORN, *OURS, "django_app:app"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_health_is_answered_while_it_computes(name):
    """The loop is ours, the handlers run in its tasks, others are served while two compute, and SIGTERM ends it."""
    kind = GrpcServer if name == "grpc.aio" else Server
    with kind(*SERVERS[name]) as server, concurrent.futures.ThreadPoolExecutor() as clients:
        status, _, about = server.get("/health")
        assert status == 200
        assert about["loop"].startswith("Preemptio"), about
        assert about["task"] == "Task"
        crunches = [clients.submit(server.get, "/crunch") for _ in range(2)]
        server.crunching(2)
        for _ in range(3):
            assert server.get("/health")[0] == 200
        assert not any(crunch.done() for crunch in crunches), "it was answered when they had come to an end"
        server.enough()
        assert [crunch.result()[0] for crunch in crunches] == [200, 200]
        status, output = server.terminate()
    assert status in {0, -signal.SIGTERM}, output
    assert "Traceback" not in output, output


def test_no_process_of_a_server_is_left():
    """A test that fails ends the workers of its server, too, which have its output: else it would never be read."""
    with pytest.raises(ZeroDivisionError) as failure, Server(*SERVERS["uvicorn, 2 workers"]) as server:
        raise ZeroDivisionError
    assert server.process.returncode
    assert "Fatal Python error: Aborted" in failure.value.__notes__[0]  # where its threads stood


@pytest.mark.slow
def test_a_process_that_was_reloaded_is_preempted_too():
    """uvicorn --reload gives the loop to each process that it starts."""
    server = Server(*SERVERS["uvicorn, reload"])
    source = pathlib.Path(server.work.name, "changes.py")
    source.touch()
    with server:
        first = about = server.get("/health")[2]
        changed = source.stat().st_mtime
        while about["pid"] == first["pid"]:
            changed += 1  # again until it is noticed: not before the reloader has looked once
            os.utime(source, (changed, changed))
            with contextlib.suppress(OSError, http.client.HTTPException):  # the one that ends may have accepted it
                about = server.get("/health")[2]
        assert about["loop"] == first["loop"]
        server.terminate()


@pytest.mark.slow
def test_a_budget():
    """A request over its CPU budget is answered with 503, the others are not concerned, and each says what it took."""
    with Server(*SERVERS["uvicorn"], BUDGET="0.05") as server:
        status, headers, text = server.get("/crunch")
        assert (status, text) == (503, "over its budget: 0.05 s of CPU time\n")
        assert float(headers["server-timing"].removeprefix("cpu;dur=")) >= 50
        status, headers, _ = server.get("/health")
        assert status == 200
        assert 0 < float(headers["server-timing"].removeprefix("cpu;dur=")) < 50
