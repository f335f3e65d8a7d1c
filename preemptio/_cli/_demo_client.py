"""The demo's load: health checks by the clock, and four clients that keep /crunch busy. One thread, plain sockets.

Open loop: a health check is sent when its time has come, whether or not those before it were answered, and its
latency counts from that time. A client that waits for an answer before it sends again would ask fifty times less
often while the server is frozen, and hardly see the freeze.

It runs as a script, without site-packages and without the library, so that it is as light as a client can be. Each
line that it prints is a JSON object: how it stands, ten times a second, and at last the result.

    python -I -S _demo_client.py PORT SECONDS RATE CLIENTS
"""

import json
import selectors
import socket
import sys
import time

HOST = "127.0.0.1"
SHOW_EVERY = 0.1

PATIENCE = 15.0
"""Seconds that the last answers are waited for."""

clock = time.perf_counter


class Request:
    """One request on a connection of its own, from its due time to the last byte of the answer."""

    def __init__(self, load: "Load", path: str, due: float) -> None:
        self.load, self.path, self.due = load, path, due
        self.answer = b""
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.connect_ex((HOST, load.port))
        load.selector.register(self.sock, selectors.EVENT_WRITE, self)

    def on_ready(self) -> None:
        """Go one step on: connected, or something to read."""
        selector = self.load.selector
        try:
            if selector.get_key(self.sock).events == selectors.EVENT_WRITE:
                self.sock.sendall(f"GET {self.path} HTTP/1.1\r\nHost: demo\r\n\r\n".encode())
                selector.modify(self.sock, selectors.EVENT_READ, self)
                return
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        self.answer += data
        if not data:
            selector.unregister(self.sock)
            self.sock.close()
            self.load.ended(self, self.answer.startswith(b"HTTP/1.1 200 "))


class Load:
    """What was sent, what came back, and when."""

    def __init__(self, port: int, seconds: float, rate: float, clients: int) -> None:
        self.port, self.seconds, self.rate, self.clients = port, seconds, rate, clients
        self.selector = selectors.SelectSelector()  # the others round a timeout up to the next millisecond
        self.waiting: dict[Request, None] = {}
        self.health: list[float] = []
        self.sent = self.crunched = self.failed = 0
        self.start = self.crunched_at = clock()

    def run(self) -> None:
        """Send for `seconds`, then wait for what is out."""
        total = round(self.seconds * self.rate)
        for _ in range(self.clients):
            self.send("/crunch", self.start)
        shown = self.start
        while self.failed < 50:
            now = clock()
            while self.sent < total and self.start + self.sent / self.rate <= now:
                self.send("/health", self.start + self.sent / self.rate)
                self.sent += 1
            if now - shown >= SHOW_EVERY:
                shown = now
                self.show(now)
            if now > self.start + self.seconds + PATIENCE or (self.sent == total and not self.waiting):
                break
            due = self.start + self.sent / self.rate if self.sent < total else now + SHOW_EVERY
            for key, _ in self.selector.select(max(0.0, min(due, shown + SHOW_EVERY) - now)):
                key.data.on_ready()

    def send(self, path: str, due: float) -> None:
        """Open a connection for a request."""
        self.waiting[Request(self, path, due)] = None

    def ended(self, request: Request, good: bool) -> None:
        """Note the end of a request; a client that waited for /crunch asks again."""
        now = clock()
        del self.waiting[request]
        if not good:
            self.failed += 1
        elif request.path == "/health":
            self.health.append(now - request.due)
        else:
            self.crunched += 1
            self.crunched_at = now
        if request.path == "/crunch" and now < self.start + self.seconds:
            self.send("/crunch", now)

    def so_far(self, now: float) -> list[float]:
        """Return the latencies, counting for an answer that is out the time that it has taken already."""
        return self.health + [now - one.due for one in self.waiting if one.path == "/health"]

    def show(self, now: float) -> None:
        """Print how it stands."""
        late = sorted(self.so_far(now))
        p99 = late[min(len(late) - 1, int(len(late) * 0.99))] if late else 0.0
        out = {"elapsed": now - self.start, "answered": len(self.health), "crunched": self.crunched, "p99": p99}
        print(json.dumps(out), flush=True)


def fetch(port: int, path: str) -> dict[str, list[float]]:
    """Send one request and wait for its answer."""
    with socket.create_connection((HOST, port), timeout=PATIENCE) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    got: dict[str, list[float]] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return got


def main(port: int, seconds: float, rate: float, clients: int) -> None:
    """Load the server, stop it, and print the result."""
    fetch(port, "/begin")
    load = Load(port, seconds, rate, clients)
    load.run()
    result = {
        "health": load.so_far(clock()),
        "sent": load.sent,
        "answered": len(load.health),
        "failed": load.failed,
        "crunched": load.crunched,
        # Up to the last answer: at the end of `seconds` four are half done, in one run more so than in the other.
        "crunch_rate": load.crunched / max(load.crunched_at - load.start, 1e-9),
        "late": fetch(port, "/stop")["late"],
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
    except (OSError, ValueError) as why:
        sys.exit(f"the server does not answer any more: {why}")
