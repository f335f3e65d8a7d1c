"""A server in a process of its own, and requests to it over real sockets."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

APPS = pathlib.Path(__file__).with_name("apps")
ROOT = pathlib.Path(__file__).resolve().parents[2]


def free_port():
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def environment():
    """Return the environment of a program in `apps`: without settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREEMPTIO_")}
    return kept | {"PYTHONPATH": f"{ROOT}{os.pathsep}{APPS}", "PYTHONASYNCIODEBUG": "", "PYTHONFAULTHANDLER": "1"}


class Server:
    """A command that serves on a port; `PORT` in it stands for that.

    It leads a process group, which ends as a whole: a worker that outlived its parent would keep the pipe open, and
    whoever reads the output to its end would wait for ever.
    """

    def __init__(self, *command, **environ):
        self.port = free_port()
        self.work = tempfile.TemporaryDirectory()  # see apps/work.py
        words = {"python": sys.executable, "PORT": str(self.port), "WORK": self.work.name}
        self.command = [words.get(word, word.replace("PORT", words["PORT"])) for word in command]
        self.environ = environment() | {"WORK": self.work.name} | environ

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command,
            cwd=APPS,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                self.get("/health")
            except (OSError, http.client.HTTPException):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"{self.command} does not serve:\n{self._end(signal.SIGABRT)}") from None
                time.sleep(0.02)  # until it listens; there is nothing to be told by
            else:
                return self

    def __exit__(self, kind, exc, traceback):
        self.enough()
        self.work.cleanup()
        if self.process.stdout.closed:  # it was asked to end, and its output read
            return
        output = self._end(signal.SIGABRT if exc else signal.SIGKILL)
        if exc is not None:
            exc.add_note(f"{self.command} wrote:\n{output}")

    def _end(self, sig):
        """End every process of the group; return what they wrote. At SIGABRT each says where its threads stand."""
        for number in dict.fromkeys((sig, signal.SIGKILL)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.process.communicate(timeout=10)[0]
        raise AssertionError(f"{self.command} was killed, but somebody keeps its output open")

    def crunching(self, count):
        """Wait until so many requests compute, of which none will end before `enough` is called."""
        deadline = time.monotonic() + 15
        while len(list(pathlib.Path(self.work.name).glob("begun*"))) < count:
            assert time.monotonic() < deadline, "what was to compute beside others has not begun"
            time.sleep(0.02)  # it is busy, and is not asked

    def enough(self):
        """Let what computes come to its end."""
        pathlib.Path(self.work.name, "enough").touch()

    def get(self, path):
        """Return the status, the headers, and the JSON or text of a response, on a connection of its own."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        kind = response.getheader("content-type", "")
        return response.status, dict(response.getheaders()), json.loads(body) if "json" in kind else body.decode()

    def terminate(self):
        """Ask it to end, and wait; return its exit status and what it wrote."""
        self.process.send_signal(signal.SIGTERM)
        try:
            output, _ = self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command} does not end at SIGTERM:\n{self._end(signal.SIGABRT)}") from None
        return self.process.returncode, output


class GrpcServer(Server):
    """One that speaks gRPC: a path is a method's name."""

    def get(self, path):
        import grpc

        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            call = channel.unary_unary(f"/work{path}", response_deserializer=json.loads)
            try:
                return 200, {}, call(b"", timeout=30)
            except grpc.RpcError as exc:
                raise ConnectionError(exc.details()) from None
