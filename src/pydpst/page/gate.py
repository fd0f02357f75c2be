"""What the page's server answers: its own page's requests, and no other website's."""

from __future__ import annotations

import socket
import sys
import traceback
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import gradio.queueing
import gradio.routes
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What all visitors' files may take, results included.
MOST_KEPT = 4 << 30
# Bytes of an upload between two looks at what is there.
_LOOK_EVERY = 8 << 20
# A file takes at least a block of the disk.
_BLOCK = 4096
_LOCAL = ("localhost", "127.0.0.1", "::1")
_OPEN = ("/assets/", "/static/", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt")
# Of Gradio's own, which has forty more; by what the page, its gallery and its downloads ask for.
_CALLS = (
    "startup-events",
    "heartbeat/",
    "queue/join",
    "queue/data",
    "cancel",
    # What does not wait in the queue, such as the button that stops a run.
    "run/predict",
    "upload",
    "upload_progress",
    "file=",
    "theme.css",
)


class Gate:
    """ASGI middleware that refuses what no browser with the page open would ask.

    403 is for requests that other websites cause (a foreign Origin or Host: a name that somebody
    lets point to this machine), 404 for what the page does not use, 413 for uploads beyond what
    may be kept, 400 for calls that the server cannot make sense of.

    Args:
        app: what answers the rest.
        host: the address that is listened at.
        home: the folder of all visitors' files.
    """

    def __init__(self, app: ASGIApp, host: str, home: Path) -> None:
        self.app = app
        self.host = host
        self.home = home

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, or lets the application answer."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        if refusal := self._refusal(scope, headers):
            await refusal(scope, receive, send)
            return
        if scope["path"].rstrip("/").endswith("/upload"):
            receive = self._bounded(receive)
        await self._answer(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> PlainTextResponse | None:
        host = headers.get("host", "")
        if not is_own_host(host, self.host, scope["server"][1]):
            return PlainTextResponse("This server does not go by that name.", 403)
        if is_foreign(scope["method"], headers, host):
            return PlainTextResponse("Other websites may not use this page.", 403)
        if not is_open(scope["path"]):
            return PlainTextResponse("Not found", 404)
        announced = headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced) > MOST_KEPT:
            return PlainTextResponse("The request is too large.", 413)
        return None

    def _bounded(self, receive: Receive) -> Receive:
        """Receives an upload for as long as there is room for it."""
        since = _LOOK_EVERY

        async def next_part() -> Message:
            nonlocal since
            message = await receive()
            since += len(message.get("body", b""))
            if since >= _LOOK_EVERY:
                since = 0
                if bytes_in(self.home) + len(message.get("body", b"")) > MOST_KEPT:
                    # Gradio answers 413 to these words, and deletes the part that came.
                    raise MultiPartException(
                        f"All files together exceed the maximum allowed size of "
                        f"{MOST_KEPT / 2**30:.1f} GB; close tabs that are done, or start anew."
                    )
            return message

        return next_part

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def passed_on(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, passed_on)
        except Exception as error:
            _tell(error)
            if not begun:
                answer = PlainTextResponse("The request makes no sense here.", 400)
                await answer(scope, receive, send)


def is_own_host(header: str, host: str, port: int) -> bool:
    """Whether a Host header names this server, and not what a stranger's name points to.

    Args:
        header: as it came, such as "localhost:7860".
        host: the address that is listened at; one for all of the machine's, such as 0.0.0.0, is
            reached by any number (names alone can be pointed elsewhere), and by the machine's name.
        port: the port that is listened at.
    """
    try:
        asked = urlsplit(f"//{header}")
        name, asked_port = asked.hostname or "", asked.port or 80
    except ValueError:
        return False
    if asked_port != port or asked.username is not None or asked.path:
        return False
    if name in (*_LOCAL, host.strip("[]").lower()):
        return True
    if host.strip("[]") not in ("0.0.0.0", "::"):
        return False
    own = socket.gethostname().lower()
    return name in (own, f"{own}.local") or _is_number(name)


def _is_number(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_foreign(method: str, headers: Headers, host: str) -> bool:
    """Whether another website caused the request; a link to the page is not foreign, a frame is."""
    origins = headers.getlist("origin")
    if origins:
        return any(origin.lower() != f"http://{host.lower()}" for origin in origins)
    elsewhere = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    is_link = (
        method == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest", "document") == "document"
    )
    return elsewhere and not is_link


def is_open(path: str) -> bool:
    """Whether the page itself uses an address of the server."""
    if path == "/" or path.startswith(_OPEN):
        return True
    call = path.removeprefix("/gradio_api/")
    if call == path:
        return False
    return any(call.startswith(c) if c[-1] in "/=" else call == c for c in _CALLS)


def bytes_in(folder: Path) -> int:
    """What the files in a folder take."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += max(path.lstat().st_size, _BLOCK)
        except OSError:  # deleted meanwhile
            continue
    return total


def quiet_gradio() -> None:
    """Lets Gradio say in a line what a call met, where it prints a traceback."""
    words = SimpleNamespace(**{**vars(traceback), "print_exc": lambda: _tell(sys.exc_info()[1])})
    for module in (gradio.queueing, gradio.routes):
        vars(module)["traceback"] = words


def _tell(error: BaseException | None) -> None:
    text = " ".join(str(error).split())[:200]
    print(f"a call to the page failed: {type(error).__name__} {text}", file=sys.stderr)
