"""The echo benchmark's client: plain blocking sockets, no loop, run as a script in its own process.

It sends on every connection, then receives on every connection: two system calls a request are all that it
spends, so that it is faster than the servers it measures.
"""

from __future__ import annotations

import socket
import sys
import time

SIZE = 64


def drive(port: int, connections: int, seconds: float) -> float:
    """Return the requests that were answered in a second."""
    message = b"x" * SIZE
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
            receive(SIZE)  # loopback never splits 64 bytes
        done += connections
    rate = done / (now - start)
    print(rate, flush=True)
    for sock in socks:
        sock.close()
    return rate


if __name__ == "__main__":
    drive(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
