"""How soon the monitor's console answers `gs`, and its page is told anew, beside 8 hogs and 500 requests.

The console's thread has to get the GIL from the hogs for each piece of its work. The answer is a table of all tasks; it
is timed from the command's last byte to the answer's, in a client that is a process of its own. The page is told
anew a second after it was told last; what is judged is the time between.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import statistics
import sys
from collections.abc import Iterator

from benchmarks._harness import Options, Promise, Row, Skipped, interleaved, percentile
from benchmarks._work import unit
from benchmarks._worker import Side

HOGS = 8
REQUESTS = 500
COMMANDS = {"gs": "gs", "gs, first 20 by CPU": "gs --sort cpu -n 20"}

PROMISES = (
    *(Promise(f"{name}, p95", "<=", 100.0, "ms") for name in COMMANDS),
    Promise("page, between updates, p95", "<=", 1250.0, "ms"),
)

CLIENT = """
import json, socket, sys, time
from preemptio._cli._attach import Telnet

port, command, times = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
console, telnet, took = socket.create_connection(("127.0.0.1", port)), Telnet("dumb"), []
while not telnet.ready:
    _, answer = telnet.feed(console.recv(65536))
    console.sendall(answer)
def rows_missing(said):
    lines = said.decode().splitlines()
    header = next((i for i, line in enumerate(lines) if line.lstrip().startswith("G  NAME")), None)
    if header is None or not said.endswith(b"\\n"):
        return True
    return len(lines) - header - 1 < (20 if "-n 20" in command else int(lines[0].split()[0]))
for _ in range(times + 1):
    start = time.perf_counter()
    console.sendall(command.encode() + b"\\r")
    said = b""
    while rows_missing(said):
        text, answer = telnet.feed(console.recv(1 << 20))
        console.sendall(answer)
        said += text
    took.append(time.perf_counter() - start)
print(json.dumps(took[1:]))
"""


WATCHER = """
import http.client, json, sys, time

port, times, took = int(sys.argv[1]), int(sys.argv[3]), []
page = http.client.HTTPConnection("127.0.0.1", port)
page.request("GET", "/preemptio/events")
events = page.getresponse()
while len(took) <= times:
    line = events.readline()
    if line.startswith(b"data: "):
        took.append(time.perf_counter())
        assert json.loads(line[6:])["table"]["total"] > 500
print(json.dumps([after - before for before, after in zip(took, took[1:])]))
"""


async def compute(stop: list[bool]) -> None:
    """Be a hog until told to stop."""
    x = 1
    while not stop:
        x = unit(x)


async def request(every: float) -> None:
    """Do a little, wait a little, as a service's tasks do."""
    while True:
        await asyncio.sleep(every)
        json.dumps(list(range(50)))


async def asked(command: str, times: int) -> list[float]:
    """Ask a monitor beside the hogs, or, if no command is given, watch its page; return the seconds that each took."""
    from preemptio import monitor

    stop: list[bool] = []
    tasks = [asyncio.create_task(compute(stop), name=f"hog {n}") for n in range(HOGS)]
    tasks += [asyncio.create_task(request(0.2 + n / 1000), name=f"request {n}") for n in range(REQUESTS)]
    try:
        with monitor.start(port=0, page_port=0, announce=False, record=10.0 * (not command)) as started:
            port, client = (started.port, CLIENT) if command else (started.page_port, WATCHER)
            words = [sys.executable, "-c", client, str(port), command, str(times)]
            process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
            said, _ = await process.communicate()
            found: list[float] = json.loads(said)
            return found
    finally:
        stop.append(True)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def measure(side: Side, command: str, times: int) -> list[float]:
    """Return how long each answer took."""
    return side.run(asked, command, times)  # type: ignore[no-any-return]


def run(opt: Options) -> Iterator[Row | Skipped]:
    """Measure each command on each loop."""
    if importlib.util.find_spec("aiomonitor") is None:
        yield Skipped("everything", "aiomonitor is not installed. Type: pip install 'preemptio[monitor]'")
        return
    for loop in opt.loops:
        for name, command in {**COMMANDS, "page, between updates": ""}.items():
            params = {"command": command, "times": int(opt.scale(100, 30) if command else opt.scale(20, 5))}
            sides = {"preempted": Side("preempted", loop)}
            rounds = interleaved(__name__, sides, params, opt.rounds, turns=1, warm=0)["preempted"]
            late = statistics.median(percentile(each, 0.95) for each in rounds) * 1000
            half = statistics.median(percentile(each, 0.5) for each in rounds) * 1000
            worst = max(max(each) for each in rounds) * 1000
            yield Row(f"{name}, p95", loop, late, f"median {half:.0f} ms, worst {worst:.0f} ms", "ms")
