"""HTTP with an OpenAI-compatible server: bounded in time and size, and no secret comes back from it."""

import asyncio
import json
import os
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import groupby
from time import time
from typing import Any
from urllib.parse import urlsplit

import httpx

from pipeline.base.errors import UserError, one_line, parameter_error
from pipeline.base.params import LlmParams

MAX_BYTES = 4 * 2**20  # of an answer; a caption takes some kB
SHOWN_CHARACTERS = 10_000  # of a body, before it is cut to one line
PIECE = 8  # so many characters of a key in a row are hidden, wherever they stand
KEY = "OPENAI_API_KEY"


class Unanswered(Exception):
    """No whole answer came; the message says why, in one line without secrets."""


@dataclass(frozen=True)
class Answer:
    """A whole answer.

    Attributes:
        value: the JSON value of the body; None where it is not JSON.
        text: the body on one line, to be shown, without secrets.
        retry_after: seconds that the server asks to wait; None where it does not, or nobody can tell.
    """

    status: int
    value: Any
    text: str
    retry_after: float | None


class Server:
    """The server that the parameters name, and the key that the environment gives for it.

    Raises:
        UserError: the URL or the key cannot be used.
    """

    def __init__(self, params: LlmParams, connections: int) -> None:
        self.base = base_url(params)
        self._key = _api_key()
        size = min(PIECE, len(self._key))
        pieces = {self._key[i : i + size] for i in range(len(self._key) - size + 1)}
        self._pieces, self._size = re.compile(f"(?={'|'.join(map(re.escape, sorted(pieces)))})"), size
        self._client = httpx.AsyncClient(
            headers={
                # answers are small; so no body can grow by being unpacked
                "Accept-Encoding": "identity",
                **({"Authorization": f"Bearer {self._key}"} if self._key else {}),
            },
            timeout=None,  # httpx's are for each read; `ask` has one for the whole
            # a connection for each request: what a server sends late or twice never answers another one
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=0),
        )

    async def ask(self, method: str, path: str, timeout_s: float, body: Any = None) -> Answer:
        """Send a request and read the answer to its end.

        Args:
            timeout_s: for all of it, however the bytes come.

        Raises:
            Unanswered: no whole answer came in time, or it is larger than `MAX_BYTES`.
        """
        content = bytearray()
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._client.stream(method, self.base + path, json=body) as response,
            ):
                async for chunk in response.aiter_raw():
                    content += chunk
                    if len(content) > MAX_BYTES:
                        raise Unanswered(f"the answer is larger than {MAX_BYTES} bytes")
        except Unanswered:
            raise
        except TimeoutError:
            raise Unanswered(f"Timeout: no whole answer within {timeout_s:g} s") from None
        except Exception as error:  # of httpx, h11, ssl, anyio ...: whatever a server can bring about
            raise Unanswered(one_line(self.hidden(one_line(error, SHOWN_CHARACTERS)))) from None
        return self._answer(response, bytes(content))

    async def close(self) -> None:
        await self._client.aclose()

    def hidden(self, text: str) -> str:
        """The text with `***` for the key, and for every piece of it."""
        if not self._size:
            return text
        covered = bytearray(len(text))
        for match in self._pieces.finditer(text):
            covered[match.start() : match.start() + self._size] = b"1" * self._size
        parts = groupby(zip(text, covered, strict=True), key=lambda pair: pair[1])
        return "".join("***" if hide else "".join(pair[0] for pair in pairs) for hide, pairs in parts)

    def hidden_in_text(self, text: str) -> str:
        """The same for a generated text, where words such as `none` or `EMPTY` are no secret."""
        return self.hidden(text) if self._size == PIECE else text

    def _answer(self, response: httpx.Response, content: bytes) -> Answer:
        try:
            value = json.loads(content)
            shown = json.dumps(value, ensure_ascii=False)  # a key in it is no longer escaped
        except (ValueError, RecursionError):
            value, shown = None, content.decode("utf-8", "replace")
        text = one_line(self.hidden(shown[:SHOWN_CHARACTERS]))
        return Answer(response.status_code, value, text, _seconds(response.headers.get("Retry-After")))


def base_url(params: LlmParams) -> str:
    """The server's base URL, ending in a slash.

    Raises:
        UserError: it is no such URL, or holds a password, which would be written into dvc.lock.
    """
    url = params.endpoint or ""
    try:
        parts = urlsplit(url)
        secret, usable = "@" in parts.netloc, parts.scheme in ("http", "https") and bool(parts.hostname)
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        secret, usable = "@" in url, False
    if secret:
        remedy = f"Take user and password out of it, and put the server's key into the variable {KEY}"
        raise parameter_error("the URL holds a password, which belongs into no file", remedy, "llm.endpoint")
    if not usable or parts.query or parts.fragment:
        remedy = "Write it as in http://localhost:8000/v1"
        raise parameter_error("this is no base URL of a server", remedy, "llm.endpoint", url)
    return url.rstrip("/") + "/"


def _api_key() -> str:
    """The key, without blanks at its ends; the error does not show it."""
    key = os.environ.get(KEY, "").strip()
    if not all("!" <= character <= "~" for character in key):
        reason = "the key holds a blank, a control character or a letter outside ASCII"
        raise UserError(reason, "Set the variable to the key alone", field=KEY)
    return key


def _seconds(header: str | None) -> float | None:
    """What `Retry-After` asks for: a number of seconds or a date; None for anything else."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time()
        except (ValueError, TypeError, OverflowError):
            return None
    return seconds if seconds >= 0 else None  # NaN is not either
