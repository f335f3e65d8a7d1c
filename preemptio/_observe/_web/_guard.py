"""Who may ask the monitor's web server for what.

Problem. It listens on loopback only, but a browser on this machine is on loopback too, and does what any page in it
says: post a form to us, load us into a frame, and, when the page's host name is made to mean 127.0.0.1, even read the
answer (DNS rebinding). Other users of the machine are on loopback as well.

What does not work. A cookie: browsers send it along whoever asks, and to every port of a host.

What we do.

- The name in `Host` must be one of this machine's own: a page of another name is refused, whatever it resolves to.
- A request that a browser says to come from another site is refused, but for following a link to a page of ours.
- What changes anything needs a token, in a header, which no form can set and no other site may send. It is in the
  fragment of the URL that is printed at the start, so it is neither sent by the browser nor in any log.
- Nothing of ours may be framed, cached, or be guessed to be of another type.

Reading needs no token: whoever has a login on the machine may look, as in aiomonitor.

Context: the monitor's loop.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

HEADER: Final = "X-Preemptio-Token"

OWN_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})

HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+))(?::[0-9]+)?")

READS: Final = frozenset({"/api/task-count", "/api/live-tasks", "/api/terminated-tasks"})
"""aiomonitor posts to these, and they change nothing."""

HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guard(app: web.Application, token: str, host: str) -> None:
    """Put the guard in front of all that an application answers."""
    names = OWN_NAMES | {host}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        why = refusal(request, names) or (_no_token(request, token) if _changes(request) else "")
        if why:
            return web.json_response({"msg": "refused", "detail": why}, status=403)
        return await handler(request)

    async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)

    app.middlewares.insert(0, check)
    app.on_response_prepare.append(add_headers)


def refusal(request: web.Request, names: frozenset[str]) -> str:
    """Return why a request is refused whatever it asks for, or ""."""
    found = HOST.fullmatch(request.headers.get("Host", ""))
    name = None if found is None else (found[1] or found[2]).lower()
    if name not in names:
        return f"the host is called {name!r}, which is none of this machine's own names; type: http://127.0.0.1:PORT"
    origin = request.headers.get("Origin")
    if origin is not None and origin not in (f"http://{request.host}", f"https://{request.host}"):
        return f"it comes from a page of another site, {origin}"
    site = request.headers.get("Sec-Fetch-Site", "none")
    link = request.method == "GET" and request.headers.get("Sec-Fetch-Dest") == "document"
    if site not in ("none", "same-origin") and not link:
        return "it comes from a page of another site"
    return ""


def _changes(request: web.Request) -> bool:
    return request.method not in ("GET", "HEAD") and request.path not in READS


def _no_token(request: web.Request, token: str) -> str:
    given = request.headers.get(HEADER, "")
    if hmac.compare_digest(given.encode("utf-8", "replace"), token.encode()):
        return ""
    what = "the token is wrong" if given else f"it has no token (header {HEADER})"
    return f"{what}: open the URL that was printed when the monitor was started, with all that is behind its #"
