"""What every request must be, and what every answer says to the browser.

A page of another site must not use this server through the browser of the person who runs it: not by a name
that it lets lead to this machine (DNS rebinding), and not by requests from its own pages. There is no CORS.
"""

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


class Refused(HTTPException):
    """A request that is not answered, in the words of a `UserError`."""

    def __init__(self, status: int, reason: str, remedy: str) -> None:
        super().__init__(status, reason)
        self.remedy = remedy


class Protection:
    """Around the whole application.

    Args:
        hosts: the names that the Host header may have, without port; None: any.
        most_bytes: of a request's body.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] | None, most_bytes: int) -> None:
        self._app = app
        self._hosts = None if hosts is None else frozenset(hosts)
        self._most = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = {key: value.decode("latin-1") for key, value in scope["headers"]}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
            await send(message)

        refusal = self._refusal(headers)
        if refusal is not None:
            await _refuse(answer, *refusal)
            return
        await self._app(scope, self._counted(receive), answer)

    def _refusal(self, headers: dict[bytes, str]) -> tuple[int, str, str] | None:
        host = headers.get(b"host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            allowed = ", ".join(sorted(self._hosts))
            return 400, f"the Host header names another machine than {allowed}", "Open the address as printed"
        foreign = headers.get(b"sec-fetch-site") in ("cross-site", "same-site")
        if foreign and headers.get(b"sec-fetch-mode") != "navigate":
            return 403, "the request comes from a page of another site", "Use the page or the API directly"
        origin = headers.get(b"origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "the request comes from a page of another site", "Use the page or the API directly"
        length = headers.get(b"content-length", "0")
        if length.isdigit() and int(length) > self._most:
            return 413, *_too_large(self._most)
        return None

    def _counted(self, receive: Receive) -> Receive:
        left = self._most

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise Refused(413, *_too_large(self._most))
            return message

        return counted


def _too_large(most: int) -> tuple[str, str]:
    return f"the request is larger than {most // 2**20} MB", "Send a smaller image, or cut it into tiles"


def _name(host: str) -> str:
    """The name of a Host header, without port and brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def error(reason: str, remedy: str, field: str | None = None, message: str | None = None) -> dict[str, Any]:
    """The body of every refusal."""
    said = {"message": message or f"{reason}. {remedy}", "reason": reason, "remedy": remedy, "field": field}
    return {
        "error": {
            key: None if value is None else value.encode("utf-8", "backslashreplace").decode()
            for key, value in said.items()
        }
    }


async def _refuse(send: Send, status: int, reason: str, remedy: str) -> None:
    body = json.dumps(error(reason, remedy)).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
