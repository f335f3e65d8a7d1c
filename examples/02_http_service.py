"""An HTTP service that answers /health while it computes /crunch, with the standard library only.

    python examples/02_http_service.py            drives itself for a second, plain and preempted, and ends
    python examples/02_http_service.py serve      serves on port 8080, for curl, until Ctrl-C

/crunch compares two texts with difflib. On plain asyncio every health check waits for it.
"""

import asyncio
import difflib
import random
import sys
import time

import preemptio

WORDS = ("go", "run", "wait", "park", "ready", "batch", "queue", "slice", "tick", "hub", "carrier", "guard", "mask")


def some_text(seed):
    """Return a text of a few thousand words."""
    rng = random.Random(seed)
    return [rng.choice(WORDS) for _ in range(1800)]


def crunch():
    """Say how alike two texts are: a few tenths of a second in difflib's pure Python."""
    return f"{difflib.SequenceMatcher(None, some_text(1), some_text(2), autojunk=False).ratio():.3f}"


async def answer(path):
    """Return status and body for a path. An ordinary handler: it does not know that crunch() is long."""
    if path == "/health":
        return "200 OK", "ok"
    if path == "/crunch":
        return "200 OK", crunch()
    return "404 Not Found", "try /health or /crunch"


async def serve_client(reader, writer):
    """Answer one request."""
    try:
        request = await reader.readline()
        while (await reader.readline()).strip():
            pass
        status, body = await answer(request.split()[1].decode())
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        await writer.drain()
    finally:
        writer.close()


async def get(port, path):
    """Ask for a path; return the body and the seconds it took."""
    start = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    reply = await reader.read()
    writer.close()
    return reply.partition(b"\r\n\r\n")[2].decode(), time.perf_counter() - start


async def drive(label):
    """Start two crunches, and check the health until both are answered."""
    server = await asyncio.start_server(serve_client, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await get(port, "/health")
    crunches = [asyncio.create_task(get(port, "/crunch")) for _ in range(2)]
    checks = []
    while not all(task.done() for task in crunches):
        body, took = await get(port, "/health")
        checks.append(took)
        await asyncio.sleep(0.01)
    server.close()
    took = max(seconds for _, seconds in [task.result() for task in crunches])
    print(f"{label:9} 2 x /crunch {took:.2f} s, {len(checks):3} x /health {body}, slowest {max(checks) * 1000:6.1f} ms")
    return max(checks)


async def serve():
    """Serve until Ctrl-C."""
    server = await asyncio.start_server(serve_client, "127.0.0.1", 8080)
    print("try: curl localhost:8080/crunch & curl localhost:8080/health")
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        preemptio.run(serve())
    else:
        frozen = asyncio.run(drive("plain"))
        kept = preemptio.run(drive("preempted"))
        print("health was checked meanwhile:", kept < frozen / 2)
