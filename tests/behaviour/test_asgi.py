"""CPUBudget: what a request may use, who comes first, and when more is refused. With the ASGI messages by hand."""

import asyncio
import re

import pytest

import preemptio
from preemptio.asgi import CPUBudget
from preemptio.lowlevel import current_g
from tests.behaviour._support import Flag, parked, spin
from tests.behaviour.test_cpu_limit import burn

pytestmark = [pytest.mark.loop, pytest.mark.asyncio]


async def ok(_scope, _receive, send):
    """Answer at once."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-mine", b"1")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Client:
    """Makes requests of an application, each in a task as servers do it, and keeps what it was sent."""

    def __init__(self, app):
        self.app = app
        self.sent = []

    async def get(self, path="/", kind="http"):
        """Return status and body."""
        self.sent = sent = []

        async def send(message):
            sent.append(message)

        await asyncio.create_task(self.app({"type": kind, "path": path}, None, send))
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)

    def header(self, name):
        """Return a header of the last response, or None."""
        return dict(self.sent[0]["headers"]).get(name)


async def test_a_request_within_its_budget():
    """Passes as it is, with the CPU time that it took."""

    async def app(scope, receive, send):
        burn(0.003)
        assert scope["preemptio.cpu"].used >= 0.003
        await ok(scope, receive, send)

    client = Client(CPUBudget(app, cpu=5, wall=60))
    assert await client.get() == (200, b"ok")
    name, _, value = client.header(b"server-timing").partition(b";dur=")
    assert name == b"cpu"
    assert 3 <= float(value) < 1000
    assert client.header(b"x-mine") == b"1"


async def test_server_timing_can_be_left_out():
    """Then the response is the application's own."""
    client = Client(CPUBudget(ok, server_timing=False))
    assert await client.get() == (200, b"ok")
    assert client.header(b"server-timing") is None


async def test_one_that_computes_too_long():
    """Is ended where it stands, its cleanup is done, and the client is told; the next request is not concerned."""
    cleaned = []

    async def app(scope, receive, send):
        if scope["path"] == "/crunch":
            try:
                while True:
                    pass
            finally:
                cleaned.append(True)
        await ok(scope, receive, send)

    client = Client(CPUBudget(app, cpu=0.02))
    assert await client.get("/crunch") == (503, b"over its budget: 0.02 s of CPU time\n")
    assert cleaned
    assert await client.get() == (200, b"ok")


async def test_one_that_takes_too_long():
    """Whether it waits or computes."""

    async def app(scope, _receive, _send):
        if scope["path"] == "/wait":
            await asyncio.sleep(60)
        while True:
            pass

    client = Client(CPUBudget(app, wall=0.02))
    assert await client.get("/wait") == (503, b"over its budget: 0.02 s\n")
    assert await client.get("/compute") == (503, b"over its budget: 0.02 s\n")


async def test_tasks_of_a_request_count():
    """What a handler starts is part of the request."""

    async def app(scope, receive, send):
        await asyncio.gather(*(asyncio.create_task(asyncio.sleep(0)) for _ in range(2)))
        await preemptio.go(burn, 0.01)
        assert scope["preemptio.cpu"].used >= 0.01
        await ok(scope, receive, send)

    assert await Client(CPUBudget(app)).get() == (200, b"ok")


async def test_a_response_that_has_started():
    """Cannot become another: the error goes to the server, which closes the connection."""

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            pass

    with pytest.raises(preemptio.CPULimitError):
        await Client(CPUBudget(app, cpu=0.01)).get()


async def test_the_applications_own_timeout():
    """Is not taken for the budget's."""

    async def app(_scope, _receive, _send):
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await Client(CPUBudget(app, cpu=1, wall=1)).get()


async def test_a_client_that_goes_away():
    """Cancels its request, as ever."""

    async def app(_scope, _receive, _send):
        await asyncio.sleep(60)

    task = asyncio.create_task(Client(CPUBudget(app, cpu=1, wall=60)).get())
    await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_priorities_go_by_the_path():
    """The longest prefix that fits, at whole segments; tasks of the request have it, too."""
    seen = {}

    async def app(scope, receive, send):
        async def child():
            return current_g().nice

        assert await asyncio.create_task(child()) == current_g().nice
        seen[scope["path"]] = current_g().nice
        await ok(scope, receive, send)

    client = Client(CPUBudget(app, nice={"/": 1, "/reports": 10, "/reports/quick": -5}))
    for path in ("/", "/other", "/reports", "/reports/1", "/reportsx", "/reports/quick/2"):
        await client.get(path)
    assert list(seen.values()) == [1, 1, 10, 10, 1, -5]
    assert current_g().nice == 0


async def test_too_many_are_parked():
    """Then requests are refused, but for those that come before others."""
    client = Client(CPUBudget(ok, max_parked=2, nice={"/health": -1}, retry_after=7))
    with Flag() as flag:
        hogs = [preemptio.go(spin, flag) for _ in range(4)]
        await parked(*hogs)
        status, body = await client.get()
        assert (status, client.header(b"retry-after")) == (503, b"7")
        assert body.startswith(b"overloaded: ")
        assert await client.get("/health") == (200, b"ok")
    await asyncio.gather(*hogs)
    assert await client.get() == (200, b"ok")


async def test_tasks_wait_too_long():
    """For the CPU, because something cannot be preempted; when that is over requests are taken again, after a time."""

    async def app(scope, receive, send):
        asyncio.get_running_loop().call_soon(burn, 0.05)
        await asyncio.sleep(0)
        await ok(scope, receive, send)

    budget = CPUBudget(app, max_delay=0.02)
    client = Client(budget)
    assert await client.get() == (200, b"ok")
    status, body = await client.get()
    assert status == 503
    assert re.fullmatch(rb"overloaded: tasks wait \d\.\d+ s for the CPU\n", body)
    budget._delay_at -= 5  # as if that were long ago
    assert await client.get() == (200, b"ok")


async def test_what_is_no_request():
    """Lifespan and websockets pass as they are."""
    seen = []

    async def app(scope, _receive, send):
        seen.append(scope["type"])
        await send({"status": 0})

    client = Client(CPUBudget(app, cpu=0.001, max_parked=1))
    for kind in ("lifespan", "websocket"):
        await client.get(kind=kind)
    assert seen == ["lifespan", "websocket"]


async def test_misuse_says_what_to_type():
    """When it is made, and on a loop that cannot do it."""
    with pytest.raises(ValueError, match=r"cpu_limit\(cancel=2\.0\)"):
        CPUBudget(ok, cpu=0)
    with pytest.raises(ValueError, match=r"CPUBudget\(app, wall=2\)"):
        CPUBudget(ok, wall="1")
    with pytest.raises(ValueError, match="begin with /"):
        CPUBudget(ok, nice={"reports": 5})
    with pytest.raises(ValueError, match="from -20"):
        CPUBudget(ok, nice={"/reports": 50})
    with pytest.raises(preemptio.NotInstalledError, match="uvicorn --loop preemptio:new_event_loop"):
        await asyncio.to_thread(asyncio.run, Client(CPUBudget(ok)).get())
