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
import time

APPS = pathlib.Path(__file__).with_name("apps")
ROOT = pathlib.Path(__file__).resolve().parents[2]


def free_port():
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    """A command that serves on a port; `PORT` in it stands for that."""

    def __init__(self, *command, **environ):
        self.port = free_port()
        words = {"python": sys.executable, "PORT": str(self.port)}
        self.command = [words.get(word, word.replace("PORT", words["PORT"])) for word in command]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREEMPTIO_")}
        self.environ = kept | {"PYTHONPATH": f"{ROOT}{os.pathsep}{APPS}", "PYTHONASYNCIODEBUG": ""} | environ

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, cwd=APPS, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                self.get("/health")
            except (OSError, http.client.HTTPException):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.process.kill()
                    raise AssertionError(f"{self.command} does not serve:\n{self.process.communicate()[0]}") from None
                time.sleep(0.02)  # until it listens; there is nothing to be told by
            else:
                return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
        self.output = self.process.communicate()[0]

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
        output, _ = self.process.communicate(timeout=30)
        return self.process.returncode, output
