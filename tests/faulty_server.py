"""An OpenAI-compatible server on this machine that fails in every way that a test asks for."""

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from speed.server import ThreadServer

RESET = object()
Part = bytes | float | object  # bytes to send, seconds to wait, or RESET: drop the connection
KEY = "sk-test-0123456789abcdefXYZ"


def right_text(word: str) -> str:
    return f"said {word}"


def completion(word: str, **choice: Any) -> dict[str, Any]:
    """A right answer."""
    return {
        "choices": [{"message": {"content": right_text(word)}, "finish_reason": "stop"} | choice],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}},
    }


def http(body: Any, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    """A whole HTTP response; `body` is bytes, or becomes JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


@dataclass(frozen=True)
class Fault:
    """How a server fails.

    Attributes:
        parts: what it sends for a word.
        error: a pattern of the row's error; None where the row is right all the same.
        again: whether another try is worth it.
    """

    parts: Callable[[str], list[Part]]
    error: str | None
    again: bool


def _body(change: Callable[[dict[str, Any]], Any], error: str | None, again: bool = True) -> Fault:
    """A right answer, changed; what the change returns, if anything, is sent instead."""

    def parts(word: str) -> list[Part]:
        answer = completion(word)
        changed = change(answer)
        return [http(answer if changed is None else changed)]

    return Fault(parts, error, again)


def _usage(value: Any) -> Fault:
    return _body(lambda answer: answer.update(usage=value), None)


def _content(value: Any, error: str, again: bool = True) -> Fault:
    return _body(lambda answer: answer["choices"][0]["message"].update(content=value), error, again)


def _reason(value: Any) -> Fault:
    return _body(lambda answer: answer["choices"][0].update(finish_reason=value), "ended the request", False)


def _status(status: str, again: bool, body: Any = b"oh no", *headers: str) -> Fault:
    return Fault(lambda _: [http(body, status, *headers)], f"HTTP {status.split()[0]}", again)


def _busy(retry_after: str) -> Fault:
    return _status("429 Too Many Requests", True, {"error": "busy"}, f"Retry-After: {retry_after}")


def _headers(*headers: str) -> Fault:
    return Fault(lambda word: [http(completion(word), "200 OK", *headers)], None, True)


def _raw(*parts: Part, error: str) -> Fault:
    return Fault(lambda _: list(parts), error, True)


_HALF = http(completion("a word that is never said"))
FAULTS: dict[str, Fault] = {
    # the connection
    "reset": _raw(RESET, error="Error"),
    "reset in the head": _raw(b"HTTP/1.1 200", RESET, error="Error"),
    "reset in the body": _raw(_HALF[:-20], RESET, error="Error"),
    "closed": _raw(b"", error="Error"),
    "half a body": _raw(_HALF[:-20], error="Error"),
    "too long a length": Fault(lambda word: [http(completion(word), length=10_000)], "Error", True),
    "too short a length": Fault(lambda word: [http(completion(word), length=9)], "not understood", True),
    "hang": _raw(60.0, error="Timeout"),
    "hang in the head": _raw(b"HTTP/1.1 200 OK\r\n", 60.0, error="Timeout"),
    "hang in the body": _raw(_HALF[:-20], 60.0, error="Timeout"),
    "drip": _raw(*[part for byte in _HALF for part in (bytes([byte]), 0.05)], error="Timeout"),
    "drip of headers": _raw(b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n", 0.05] * 600, error="Timeout"),
    "endless news": _raw(*[b"HTTP/1.1 100 Continue\r\n\r\n", 0.02] * 900, error="Timeout"),
    "not HTTP": _raw(b"\x00\xff\x16\x03 garbage \r\n\r\n", error="Error"),
    "another protocol": _raw(b"SSH-2.0-OpenSSH_9.6\r\n", error="Error"),
    "huge header": _raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\n\r\n", error="Error"),
    "bad chunks": _raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}", error="Error"),
    "huge body": _raw(http(b" " * 5_000_000), error="larger than"),
    "endless body": _raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n", *[b" " * 1_000_000] * 9, error="larger than"
    ),
    "two answers": Fault(lambda word: [http(completion(word)) + http(completion("other"))], None, True),
    # statuses
    "500": _status("500 Internal Server Error", True),
    "502": _status("502 Bad Gateway", True, b"<html>nginx</html>"),
    "599": _status("599 Odd", True),
    "204": Fault(lambda _: [b"HTTP/1.1 204 No Content\r\n\r\n"], "HTTP 204", True),
    "301": _status("301 Moved", False, b"", "Location: http://127.0.0.1:9/v1"),
    "307 to itself": _status("307 Temporary Redirect", False, b"", "Location: chat/completions"),
    "401": _status("401 Unauthorized", False, {"error": "no such key"}),
    "404": _status("404 Not Found", False, {"error": "The model `served` does not exist."}),
    "400": _status("400 Bad Request", False, {"error": {"message": "context length"}}),
    "413": _status("413 Too Large", False),
    **{f"busy, {value or 'nothing'}": _busy(value) for value in (
        "0", "-1", "nan", "inf", "-inf", "1e999", "soon", "", "0x10", "99999999999999999999", "0.01",
        "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Oct 9999 99:99:99 GMT", "Fri, 31 Dec 9999 23:59:59 GMT",
    )},
    # bodies
    "HTML": _raw(http(b"<html>Sign in</html>", "200 OK", "Content-Type: text/html"), error="not understood"),
    "empty body": _raw(http(b""), error="not understood"),
    "garbage": _raw(http(bytes(range(256))), error="not understood"),
    "half a JSON": _raw(http(_HALF.partition(b"\r\n\r\n")[2][:-20]), error="not understood"),
    "deep JSON": _raw(http(b"[" * 200_000 + b"]" * 200_000), error="not understood"),
    "deep objects": _raw(http(b'{"choices":' * 100_000), error="not understood"),
    "long number": _body(lambda a: json.dumps(a).replace("3", "9" * 5000).encode(), "not understood"),
    "null": _body(lambda a: b"null", "not understood"),
    "a list": _body(lambda a: [a], "not understood"),
    "a text": _body(lambda a: "said", "not understood"),
    "an error": _body(lambda a: {"error": {"message": "overloaded"}}, "overloaded"),
    "choices empty": _body(lambda a: a.update(choices=[]), "not understood"),
    "choices null": _body(lambda a: a.update(choices=None), "not understood"),
    "choices an object": _body(lambda a: a.update(choices={"a": 1}), "not understood"),
    "choices of numbers": _body(lambda a: a.update(choices=[1]), "not understood"),
    "message null": _body(lambda a: a["choices"][0].update(message=None), "not understood"),
    "message a list": _body(lambda a: a["choices"][0].update(message=["said"]), "not understood"),
    "UTF-16": _body(lambda a: json.dumps(a).encode("utf-16"), None),
    "Latin-1": _raw(http('{"choices": "\u00e4"}'.encode("latin-1")), error="not understood"),
    # contents
    "content null": _content(None, "ended the request without a text: stop", False),
    "content a list": _content([{"type": "text", "text": "said"}], "not understood"),
    "content a number": _content(1.5, "not understood"),
    "content an object": _content({}, "not understood"),
    "half a surrogate pair": _content("said \ud800", "not understood"),
    "other half": _content("\udfff said", "not understood"),
    # why it ended
    **{f"finish reason {value!r}": _reason(value) for value in (
        None, "content_filter", "tool_calls", "", 7, True, ["stop"], {"a": 1}, "\ud800", "x" * 100_000
    )},
    # figures
    **{f"usage {value!r}"[:40]: _usage(value) for value in (
        None, [], "many", 7, True, float("nan"), {"prompt_tokens": float("nan")},
        {"prompt_tokens": float("inf"), "completion_tokens": -1}, {"prompt_tokens": 10**30},
        {"prompt_tokens": "3", "completion_tokens": [2]}, {"completion_tokens": 10**9},
        {"prompt_tokens": 2.5, "completion_tokens": 1e308}, {"prompt_tokens_details": 5},
        {"prompt_tokens_details": {"cached_tokens": "all"}}, {"prompt_tokens": True},
    )},
    # headers
    "says gzip": _headers("Content-Encoding: gzip"),
    "says an unknown packing": _headers("Content-Encoding: rot13, gzip"),
    "is gzip": _raw(http(gzip.compress(_HALF), "200 OK", "Content-Encoding: gzip"), error="not understood"),
    "a bomb": _raw(
        http(gzip.compress(b" " * 10**8), "200 OK", "Content-Encoding: gzip, gzip"), error="not understood"
    ),
    "wrong charset": _headers("Content-Type: application/json; charset=utf-7"),
    "unknown charset": _headers("Content-Type: text/html; charset=none-such"),
    "no text charset": _headers("Content-Type: application/json; charset=zlib"),
    # secrets
    "key in an error": _status("401 Unauthorized", False, {"error": f"Bearer {KEY} is wrong"}),
    "escaped key in an error": _status(
        "500 Error", True, b'{"error": "' + b"".join(b"\\u%04x" % ord(c) for c in KEY) + b'"}'
    ),
    "piece of the key": _status("500 Error", True, f"the key {KEY[:14]} is wrong".encode()),
    "key in no HTTP": _raw(f"Authorization: {KEY}\r\n\r\n".encode(), error="Error"),
    "key as a reason": _reason(f"wrong key {KEY}"),
    "key in the shape": _body(lambda a: {"error": KEY}, "not understood"),
}  # fmt: skip


class FaultyServer(ThreadServer):
    """A server in a thread.

    Args:
        choose: names the fault for a word, by how often it was asked, the first time being 1; None for none.
    """

    def __init__(self, choose: Callable[[str, int], str | None] = lambda word, count: None) -> None:
        self.choose = choose
        self.seen: Counter[str] = Counter()
        self.models: Part = http({"data": [{"id": "served", "root": "org/model", "revision": "r1"}]})
        self.answers: dict[str, bytes] = {}  # faults of a test's own, by name
        self.keys: set[str] = set()  # values of the header `Authorization`
        self.bodies: list[dict[str, Any]] = []
        self.at_once = self.most_at_once = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:  # a client may keep its connection
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                fields = {name.lower(): value for name, value in fields.items()}
                self.keys.add(fields.get("authorization", ""))
                if head.startswith("GET"):
                    writer.write(self.models)  # type: ignore[arg-type]
                    continue
                body = json.loads(await reader.readexactly(int(fields["content-length"])))
                self.bodies.append(body)
                self.at_once += 1
                self.most_at_once = max(self.at_once, self.most_at_once)
                try:
                    content = body["messages"][-1]["content"]
                    word = content if isinstance(content, str) else content[-1]["text"]
                    if not await self._answer(word, writer):
                        break
                finally:
                    self.at_once -= 1
        writer.close()

    async def _answer(self, word: str, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection may be used again."""
        self.seen[word] += 1
        fault = self.choose(word, self.seen[word])
        if fault is None:
            writer.write(http(completion(word)))
            return True
        for part in [self.answers[fault]] if fault in self.answers else FAULTS[fault].parts(word):
            if part is RESET:
                writer.transport.abort()
            elif isinstance(part, bytes):
                writer.write(part)
                await writer.drain()
            elif isinstance(part, float):
                await asyncio.sleep(part)
        return fault == "two answers"
