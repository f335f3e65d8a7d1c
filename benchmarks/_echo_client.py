"""A client that is faster than the servers it measures: blocking sockets, no loop, run as a script in its own process.

It sends on every connection, then receives on every connection: two system calls a request are all that it
spends. An echo server gets a few bytes; given a path, an HTTP server gets a request, whose answers are all of a length.
"""

from __future__ import annotations

import socket
import sys
import time

SIZE = 64


def answer_to(port: int, request: bytes) -> bytes:
    """Ask once, on a connection that is closed by that; return the answer."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(request)
        answer = b""
        while more := sock.recv(65536):
            answer += more
    return answer


def drive(port: int, connections: int, seconds: float, path: str = "") -> float:
    """Return the requests that were answered in a second."""
    message, size = b"x" * SIZE, SIZE
    if path:
        message = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        closing = answer_to(port, message[:-2] + b"Connection: close\r\n\r\n")
        if not closing.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the server answers {closing!r}")
        size = len(closing) - len(b"connection: close\r\n")
    socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    for sock in socks:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    senders = [sock.sendall for sock in socks]
    receivers = [sock.recv for sock in socks]
    done = 0
    print("start", flush=True)
    start = time.perf_counter()
    while (now := time.perf_counter()) < start + seconds:
        for send in senders:
            send(message)
        for receive in receivers:
            receive(size, socket.MSG_WAITALL)
        done += connections
    rate = done / (now - start)
    print(rate, flush=True)
    for sock in socks:
        sock.close()
    return rate


if __name__ == "__main__":
    drive(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:])
