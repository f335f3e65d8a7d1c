"""Who may ask the monitor's web server for what: request by request, as a browser or a program would send them."""

import asyncio
import http.client
import json

import pytest

from preemptio import monitor
from preemptio._observe._web._guard import HEADER, HEADERS
from tests.monitor._support import outside, run

OTHER = "http://other.example"


class Site:
    """The pages of a monitor, and requests to them from outside of the loop's thread."""

    def __init__(self, started):
        self.port = started.page_port
        self.token = started.url.partition("#token=")[2]
        self.own = f"127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Host": self.own, **names})
        answer = connection.getresponse()
        try:
            return answer.status, answer.read(200_000).decode(), dict(answer.getheaders())
        finally:
            connection.close()

    def do(self, body, token="", **headers):
        names = {HEADER: token} if token else {}
        return self.ask("POST", "/preemptio/do", json.dumps(body), Content_Type="application/json", **names, **headers)


def visited(check):
    """Run a check beside a loop with a task."""

    async def main():
        task = asyncio.create_task(asyncio.Event().wait(), name="waiter")
        await asyncio.sleep(0)
        with monitor.start(port=0, page_port=0, announce=False) as started:
            await outside(check, Site(started), task)
        assert not task.done() or task.cancelled()
        task.cancel()

    run("asyncio", main())


def test_changes_need_the_token():
    """Of ours and of aiomonitor's; a wrong one is none."""

    def check(site, task):
        number = task.g.id
        for token in ("", "x", site.token[:-1], site.token + "x", "\xe9"):
            status, said, _ = site.do({"command": "suspend", "g": number}, token)
            assert (status, "token" in said) == (403, True)
            assert site.ask("DELETE", f"/api/task?task_id={id(task)}", **{HEADER: token})[0] == 403
        assert not task.g.suspended
        assert not task.done()
        status, said, _ = site.do({"command": "suspend", "g": number}, site.token)
        assert (status, f"G {number} is held" in said) == (200, True)
        assert site.do({"command": "resume", "g": number}, site.token)[0] == 200
        assert site.ask("DELETE", f"/api/task?task_id={id(task)}", **{HEADER: site.token})[0] == 200

    visited(check)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "other.example"},
        {"Host": "127.0.0.1.other.example"},
        {"Host": "other.example:80@127.0.0.1"},
        {"Host": ""},
        {"Host": "[::1"},
        {"Origin": OTHER},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "iframe"},
    ],
    ids=str,
)
def test_another_site_is_refused_whatever_it_asks(headers):
    """With the right token, too; and reading as well."""

    def check(site, task):
        assert site.do({"command": "cancel", "g": task.g.id}, site.token, **headers)[0] == 403
        for path in ("/preemptio", "/preemptio/events", f"/preemptio/g/{task.g.id}", "/", "/api/version"):
            assert site.ask("GET", path, **headers)[0] == 403
        assert site.ask("POST", "/api/live-tasks", **headers)[0] == 403

    visited(check)


def test_what_is_ours_is_answered():
    """By any of this machine's names; by a link from elsewhere; aiomonitor's reads by POST need no token."""

    def check(site, task):
        for name in ("127.0.0.1", "localhost", "[::1]"):
            status, said, headers = site.ask("GET", "/preemptio", Host=f"{name}:{site.port}")
            assert (status, "<title>Gs" in said) == (200, True)
            assert headers.items() >= HEADERS.items()
            assert "default-src 'none'" in headers["Content-Security-Policy"]
        link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "document"}
        assert site.ask("GET", "/preemptio", **link)[0] == 200
        assert site.ask("POST", "/preemptio/do", **link)[0] == 403
        status, said, _ = site.ask("POST", "/api/live-tasks", Origin=f"http://{site.own}")
        assert (status, "waiter" in said) == (200, True)
        status, said, _ = site.ask("GET", "/")
        assert (status, said.count("/preemptio/static/token.js"), 'href="/preemptio"' in said) == (200, 1, True)
        assert "in Event.wait" in site.ask("GET", f"/preemptio/g/{task.g.id}")[1]
        for path in ("/preemptio/static/app.js", "/preemptio/static/style.css", "/preemptio/static/icon.svg"):
            assert site.ask("GET", path)[0] == 200
        assert site.ask("GET", "/preemptio/static/..%2f_app.py")[0] == 404

    visited(check)


def test_bad_requests_are_told_what_would_be_good():
    """Nothing is done, and nothing fails."""

    def check(site, task):
        for body in ([], {}, {"command": "no"}, {"command": ["x"]}, "x", None):
            status, said, _ = site.do(body, site.token)
            assert (status, '{\\"command\\": \\"suspend\\"' in said) == (400, True)
        number = task.g.id
        for body, wanted in (
            ({"command": "suspend"}, "which G?"),
            ({"command": "suspend", "g": 10**9}, "is alive"),
            ({"command": "suspend", "g": [1]}, "is alive"),
            ({"command": "nice", "g": number, "value": "5"}, "not from -20 to 19"),
            ({"command": "resume", "g": number}, "nobody holds it"),
            ({"command": "stop"}, "nothing is recorded"),
        ):
            status, said, _ = site.do(body, site.token)
            assert (status, wanted in said) == (409, True), said
        for query in ("sort=no", "status=no", "limit=0", "limit=9999", "limit=x"):
            assert site.ask("GET", f"/preemptio/events?{query}")[0] == 400
        assert site.ask("GET", "/preemptio/g/999999")[0] == 404

    visited(check)


def test_events_come_and_end_with_the_monitor():
    """The first at once; the stream ends when the monitor is closed, and does not hold it up."""

    async def main():
        task = asyncio.create_task(asyncio.Event().wait(), name="waiter")
        await asyncio.sleep(0)  # it waits by now
        started = monitor.start(port=0, page_port=0, record=5, announce=False)

        def read():
            connection = http.client.HTTPConnection("127.0.0.1", started.page_port, timeout=20)
            connection.request("GET", "/preemptio/events?sort=name&match=wai&status=waiting&reverse=1&limit=5")
            answer = connection.getresponse()
            assert answer.getheader("Content-Type") == "text/event-stream"
            state = json.loads(answer.readline().removeprefix(b"data: "))
            started.close()
            answer.read()
            connection.close()
            return state

        state = await outside(read)
        assert [row["name"] for row in state["table"]["rows"]] == ["waiter"]
        assert state["table"]["total"] >= 2  # on 3.11 wait_for makes a task as well
        assert state["loop"]["state"] == "running"
        assert state["timeline"]["bins"] == 400
        assert [each["name"] for each in state["latency"]["series"]] == ["ready", "preempted"]
        assert (state["leaks"], state["parked"]) == (None, [])
        task.cancel()

    run("asyncio", main())
