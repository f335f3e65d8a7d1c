"""The page's routes, added to aiomonitor's application; everything is behind `_guard.py`.

- `GET /preemptio`: the page, an entry in aiomonitor's menu.
- `GET /preemptio/static/NAME`: its script and style: files of ours, nothing from elsewhere.
- `GET /preemptio/events?sort=&reverse=&status=&match=&limit=`: server-sent events, one a second, each the whole state.
- `GET /preemptio/g/ID`: everything about a G, as text.
- `POST /preemptio/do`: `{"command": "suspend", "g": 12}`; needs the token.

aiomonitor's own page cancels tasks by a request of its own: a script that adds the token is put into its pages.

Context: the monitor's loop.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from string import Template
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from preemptio._observe._monitor._aiomonitor import NavigationItem, nav_menus
from preemptio._observe._monitor._ask import Unable
from preemptio._observe._monitor._rows import BY_NAME, FILTERS
from preemptio._observe._monitor._top import SHARE
from preemptio._observe._web._feed import EVERY, Feed
from preemptio._observe._web._guard import Handler, guard

if TYPE_CHECKING:
    from preemptio._core._g import G
    from preemptio._observe._monitor._control import Control

PAGE: Final = "/preemptio"
STATIC: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "static")
TYPES: Final = {
    "app.js": "text/javascript",
    "token.js": "text/javascript",
    "style.css": "text/css",
    "icon.svg": "image/svg+xml",
}

WATCHERS: Final = 16
"""Pages that may be open at a time."""

ROWS: Final = 500
"""Rows of a table at most."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)

INSERTED: Final = f'<script src="{PAGE}/static/token.js"></script></head>'


class Pages:
    """The page's handlers."""

    def __init__(self, control: Control) -> None:
        """Take the commands."""
        self.control = control
        self.feed = Feed(control)
        self.over = asyncio.Event()
        self.watchers = 0
        self.files = {name: _read(name) for name in TYPES}
        self.commands: dict[str, Callable[[G | None, Any], Awaitable[Any]]] = {
            "suspend": lambda g, _: control.suspend(_needed(g)),
            "resume": lambda g, _: control.resume(_needed(g)),
            "preempt": lambda g, _: control.preempt(_needed(g)),
            "cancel": lambda g, _: control.cancel(_needed(g)),
            "nice": lambda g, value: control.nice(_needed(g), value if type(value) is int else 100),
            "leaks": lambda _, __: self._leaks(),
            "record": lambda _, __: control.record(10.0),
            "stop": lambda _, __: control.stop_recording(),
        }

    async def _leaks(self) -> str:
        found = await self.control.leaks()
        return f"{len(found)} leaked" if found else "no G is leaked"

    async def page(self, _request: web.Request) -> web.Response:
        """Answer the page itself."""
        menu = "".join(
            f'<a href="{path}"{" aria-current=page" * (path == PAGE)}>{item.title}</a>'
            for path, item in nav_menus.items()
        )
        text = Template(_read("index.html")).substitute(menu=menu, columns=_escaped(self.feed.columns()))
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": POLICY})

    async def static(self, request: web.Request) -> web.Response:
        """Answer a file."""
        name = request.match_info["name"]
        if name not in self.files:
            raise web.HTTPNotFound
        return web.Response(text=self.files[name], content_type=TYPES[name])

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Answer with the state, once a second, until one side ends."""
        wanted = _wanted(request.query)
        if self.watchers >= WATCHERS:
            raise web.HTTPServiceUnavailable(text=f"{WATCHERS} pages are open already; close one")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self.watchers += 1
        try:
            while not self.over.is_set():
                await response.write(b"data: " + json.dumps(self.feed.tell(**wanted)).encode() + b"\n\n")
                try:
                    await asyncio.wait_for(self.over.wait(), EVERY)
                except TimeoutError:
                    continue
        except ConnectionError:
            pass
        finally:
            self.watchers -= 1
        return response

    async def about(self, request: web.Request) -> web.Response:
        """Answer everything about a G."""
        try:
            g = self.control.g(int(request.match_info["id"]))
        except Unable as why:
            raise web.HTTPNotFound(text=str(why)) from None
        return web.Response(text=await self.control.about(g))

    async def do(self, request: web.Request) -> web.Response:
        """Do a command."""
        try:
            asked = await request.json()
            command, number, value = asked["command"], asked.get("g"), asked.get("value")
            body = self.commands[command]
        except (ValueError, KeyError, TypeError, AttributeError):
            msg = f'post JSON such as {{"command": "suspend", "g": 12}}; commands: {", ".join(self.commands)}'
            return web.json_response({"ok": False, "said": msg}, status=400)
        try:
            g = None if number is None else self.control.g(number)
            return web.json_response({"ok": True, "said": str(await body(g, value))})
        except Unable as why:
            return web.json_response({"ok": False, "said": str(why)}, status=409)

    async def end(self, _app: web.Application) -> None:
        """Let the streams end."""
        self.over.set()


def add_pages(app: web.Application, control: Control, token: str, host: str) -> None:
    """Put the page into aiomonitor's application, and the guard in front of both."""
    pages = Pages(control)
    nav_menus.setdefault(PAGE, NavigationItem(title="Gs", current=False))  # of all monitors of the process
    app.router.add_get(PAGE, pages.page)
    app.router.add_get(f"{PAGE}/static/{{name}}", pages.static)
    app.router.add_get(f"{PAGE}/events", pages.events, allow_head=False)
    app.router.add_get(f"{PAGE}/g/{{id:[0-9]{{1,18}}}}", pages.about)
    app.router.add_post(f"{PAGE}/do", pages.do)
    app.on_shutdown.append(pages.end)
    app.middlewares.append(_with_token)
    guard(app, token, host)


@web.middleware
async def _with_token(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Put the script that adds the token into aiomonitor's pages."""
    response = await handler(request)
    if isinstance(response, web.Response) and response.content_type == "text/html" and request.path != PAGE:
        response.text = (response.text or "").replace("</head>", INSERTED, 1)
    return response


def _wanted(query: Any) -> dict[str, Any]:
    """Return what the table is to be like.

    Raises:
        HTTPBadRequest: it cannot be.
    """
    sort, status, limit = query.get("sort", SHARE.name), query.get("status", ""), query.get("limit", "100")
    names = {SHARE.name, *BY_NAME}
    if sort not in names or (status and status not in FILTERS) or not limit.isdecimal() or not 0 < int(limit) <= ROWS:
        said = f"sort by {', '.join(sorted(names))}; status one of {', '.join(FILTERS)}; limit 1 to {ROWS}"
        raise web.HTTPBadRequest(text=said)
    return {
        "sort": sort,
        "status": status,
        "limit": int(limit),
        "reverse": query.get("reverse") == "1",
        "match": query.get("match", "")[:200],
    }


def _needed(g: G | None) -> G:
    if g is None:
        raise Unable('which G? type, for example: {"command": "suspend", "g": 12}')
    return g


def _read(name: str) -> str:
    with open(os.path.join(STATIC, name), encoding="utf-8") as file:
        return file.read()


def _escaped(thing: Any) -> str:
    """Return JSON that may stand in a script element of the page."""
    return json.dumps(thing).replace("<", "\\u003c")
