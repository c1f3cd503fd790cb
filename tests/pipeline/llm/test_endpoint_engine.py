"""A server that answers, dawdles, fails and talks nonsense, on this machine."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import UserError
from pipeline.base.files import remember, remembered
from pipeline.base.params import load_params
from pipeline.llm import endpoint_engine
from pipeline.llm.endpoint_engine import EndpointEngine, reported_model
from pipeline.llm.types import Request, Sampling

PARAMS = load_params(Path(__file__).parents[3] / "params.yaml")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.seen: dict[str, list[dict[str, Any]]] = {}
        self.at_once = self.most_at_once = 0
        self.release = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._send(200, {"data": [{"id": "served", "root": "org/model", "created": 1, "revision": "r1"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        word = body["messages"][-1]["content"]
        with self.server.lock:
            calls = self.server.seen.setdefault(word, [])
            calls.append(body)
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
            count = len(calls)
        try:
            self._answer(word, count)
        finally:
            with self.server.lock:
                self.server.at_once -= 1

    def _answer(self, word: str, count: int) -> None:
        usage = {"prompt_tokens": 3, "completion_tokens": 2}
        choice: dict[str, Any] = {"message": {"content": f"said {word}"}, "finish_reason": "stop"}
        if word == "busy" and count < 3:
            self._send(429, {"error": "busy"}, {"Retry-After": "0"})
        elif word == "down":
            self._send(503, {"error": "down"})
        elif word == "long":
            self._send(400, {"error": {"message": "context length"}})
        elif word == "nonsense":
            self._send(200, {"choices": []})
        elif word == "no json" and count == 1:
            self._send(200, None)
        elif word == "slow":
            self.server.release.wait(5)
            self._send(200, {"choices": [choice], "usage": usage})
        elif word == "filtered":
            choice["finish_reason"] = "content_filter"
            self._send(200, {"choices": [choice], "usage": usage})
        else:
            self._send(200, {"choices": [choice], "usage": usage})

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = b"<html>" if body is None else json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except BrokenPipeError:
            pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_engine, "FIRST_WAIT_S", 0.01)


def _engine(server: Server, **speed: Any) -> EndpointEngine:
    llm = PARAMS.llm.model_copy(update={"engine": "endpoint", "endpoint": server.url, "model": "served"})
    defaults = {"endpoint_concurrency": 4, "endpoint_timeout_s": 1.0, "endpoint_retries": 3}
    return EndpointEngine(llm, PARAMS.speed.model_copy(update=defaults | speed))


def _ask(engine: EndpointEngine, *words: str, temperature: float = 0.0) -> dict[str, Any]:
    sampling = Sampling.of(temperature, 0.9, 1)
    requests = [
        Request(word, [{"role": "user", "content": word}], sampling, 40, 7 if temperature else None)
        for word in words
    ]
    try:
        return {result.key: result for result in engine.generate(requests)}
    finally:
        engine.close()


def test_a_text_comes_back_with_its_figures(server: Server) -> None:
    result = _ask(_engine(server), "hello", temperature=0.5)["hello"]
    assert (result.text, result.finish_reason, result.prompt_tokens, result.output_tokens) == (
        "said hello", "stop", 3, 2,
    )  # fmt: skip
    body = server.seen["hello"][0]
    assert (
        body["seed"] == 7 and body["max_tokens"] == 40 and body["top_p"] == 0.9 and body["model"] == "served"
    )


def test_greedy_requests_carry_no_seed(server: Server) -> None:
    _ask(_engine(server), "hello")
    assert "seed" not in server.seen["hello"][0] and server.seen["hello"][0]["temperature"] == 0.0


def test_passing_errors_are_tried_again(server: Server) -> None:
    results = _ask(_engine(server), "busy", "no json")
    assert results["busy"].text == "said busy" and len(server.seen["busy"]) == 3
    assert results["no json"].text == "said no json" and len(server.seen["no json"]) == 2


def test_lasting_errors_fail_their_row_alone(server: Server) -> None:
    results = _ask(_engine(server), "down", "long", "nonsense", "filtered", "fine")
    assert results["fine"].text == "said fine"
    assert "HTTP 503" in results["down"].error and len(server.seen["down"]) == 4
    assert "context length" in results["long"].error and len(server.seen["long"]) == 1
    assert results["long"].permanent and not results["down"].permanent
    assert "not understood" in results["nonsense"].error
    assert "content_filter" in results["filtered"].error


def test_a_server_that_hangs_times_out(server: Server) -> None:
    results = _ask(_engine(server, endpoint_timeout_s=0.1, endpoint_retries=1), "slow", "fine")
    assert "Timeout" in results["slow"].error and len(server.seen["slow"]) == 2
    assert results["fine"].text == "said fine"


def test_no_more_than_the_concurrency_is_in_flight(server: Server) -> None:
    assert len(_ask(_engine(server, endpoint_concurrency=3), *(f"w{i}" for i in range(30)))) == 30
    assert server.most_at_once <= 3


def test_the_identity_is_what_the_server_says_and_outlives_it(server: Server, tmp_path: Path) -> None:
    llm = PARAMS.llm.model_copy(update={"engine": "endpoint", "endpoint": server.url, "model": "served"})
    said = reported_model(llm, tmp_path)
    assert said == {"id": "served", "root": "org/model", "revision": "r1"}
    gone = llm.model_copy(update={"endpoint": "http://127.0.0.1:9/v1"})
    with pytest.raises(UserError, match="cannot be asked"):
        reported_model(gone, tmp_path)
    known = remembered(tmp_path / "endpoint_models.json")
    known["http://127.0.0.1:9/v1/ served"] = said
    remember(tmp_path / "endpoint_models.json", known)
    assert reported_model(gone, tmp_path) == said


def test_a_model_that_is_not_served_is_named(server: Server, tmp_path: Path) -> None:
    llm = PARAMS.llm.model_copy(update={"engine": "endpoint", "endpoint": server.url, "model": "other"})
    with pytest.raises(UserError, match=r"does not serve.*other.*Use one of served"):
        reported_model(llm, tmp_path)
