"""Servers that answer, dawdle, fail and talk nonsense, on this machine."""

import base64
import hashlib
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.base.errors import UserError
from pipeline.base.files import remember, remembered
from pipeline.base.params import LlmParams, load_params
from pipeline.llm import endpoint_engine
from pipeline.llm.endpoint_engine import EndpointEngine, _unasked, reported_model
from pipeline.llm.endpoint_http import Unanswered
from pipeline.llm.pictures import Picture
from pipeline.llm.types import Request, Result, Sampling
from tests.faulty_server import FAULTS, KEY, Fault, FaultyServer, http, right_text

ROOT = Path(__file__).parents[3]
PARAMS = load_params(ROOT / "params.yaml")
TIMEOUT_S = 1.0


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        yield server


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_engine, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(endpoint_engine, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "\n")


def _llm(url: str, model: str = "served") -> LlmParams:
    return PARAMS.llm.model_copy(update={"engine": "endpoint", "endpoint": url, "model": model})


def _engine(server: FaultyServer, **speed: Any) -> EndpointEngine:
    defaults = {"endpoint_concurrency": 4, "endpoint_timeout_s": TIMEOUT_S, "endpoint_retries": 3}
    return EndpointEngine(_llm(server.url), PARAMS.speed.model_copy(update=defaults | speed))


def _requests(*words: str, temperature: float = 0.0) -> list[Request]:
    sampling = Sampling.of(temperature, 0.9, 1)
    return [
        Request(word, [{"role": "user", "content": word}], sampling, 40, 7 if temperature else None)
        for word in words
    ]


def _ask(engine: EndpointEngine, *words: str, temperature: float = 0.0) -> dict[str, Result]:
    try:
        results = list(engine.generate(_requests(*words, temperature=temperature)))
    finally:
        engine.close()
    assert len(results) == len(set(words)), "a row came twice, or never"
    return {result.key: result for result in results}


def test_a_text_comes_back_with_its_figures(server: FaultyServer) -> None:
    result = _ask(_engine(server), "hello", temperature=0.5)["hello"]
    assert (result.text, result.finish_reason) == ("said hello", "stop")
    assert (result.prompt_tokens, result.output_tokens, result.cached_tokens) == (3, 2, 1)
    body = server.bodies[-1]
    assert (body["seed"], body["max_tokens"], body["top_p"], body["model"]) == (7, 40, 0.9, "served")
    assert server.keys == {f"Bearer {KEY}"}


def _seeing(server: FaultyServer, file: Path) -> tuple[EndpointEngine, Request]:
    Image.new("RGB", (80, 40), "red").save(file)
    picture = Picture(file, hashlib.sha256(file.read_bytes()).hexdigest(), 40)
    (request,) = _requests("hello")
    speed = PARAMS.speed.model_copy(update={"endpoint_retries": 1, "endpoint_timeout_s": TIMEOUT_S})
    llm = _llm(server.url).model_copy(update={"images": True})
    return EndpointEngine(llm, speed), replace(request, picture=picture)


def test_an_image_goes_before_the_text_of_its_row(server: FaultyServer, tmp_path: Path) -> None:
    engine, request = _seeing(server, tmp_path / "a.png")
    absent = replace(request, key="absent", picture=Picture(tmp_path / "b.png", "0", 40))
    try:
        results = {result.key: result for result in engine.generate([request, absent])}
        assert [result.text for result in engine.generate([request])] == ["said hello"]
    finally:
        engine.close()
    assert results["hello"].text == "said hello"
    assert "cannot be read" in (results["absent"].error or "")
    assert results["absent"].external and results["absent"].permanent
    trial, *rows = server.bodies
    assert trial["max_tokens"] == 1 and len(rows) == 2
    image, text = rows[0]["messages"][-1]["content"]
    assert text == {"type": "text", "text": "hello"} and image["type"] == "image_url"
    sent = base64.b64decode(image["image_url"]["url"].removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(sent)).size == (40, 20)


def test_a_server_that_takes_no_images_is_refused_before_any_row(
    server: FaultyServer, tmp_path: Path
) -> None:
    engine, request = _seeing(server, tmp_path / "a.png")
    server.choose = lambda word, count: "400"
    try:
        with pytest.raises(UserError, match=r"refuses a request with an image.*HTTP 400.*llm\.images"):
            list(engine.generate([request]))
    finally:
        engine.close()
    assert len(server.bodies) == 1 and server.bodies[0]["max_tokens"] == 1


def test_greedy_requests_carry_no_seed(server: FaultyServer) -> None:
    _ask(_engine(server), "hello")
    assert "seed" not in server.bodies[-1] and server.bodies[-1]["temperature"] == 0.0


FURTHER = {"top_k": 20, "min_p": 0.1, "stop": "\n", "bad_words": ["sorry"]}


def _asked(server: FaultyServer, temperature: float, *words: str, **llm: Any) -> list[Result]:
    """The results of requests under further sampling."""
    params = _llm(server.url).model_copy(update={"sampling": FURTHER, **llm})
    speed = {"endpoint_concurrency": 4, "endpoint_timeout_s": TIMEOUT_S, "endpoint_retries": 0}
    engine = EndpointEngine(params, PARAMS.speed.model_copy(update=speed))
    sampling = Sampling.of(temperature, 0.9, 1, params.sampling)
    try:
        return list(
            engine.generate(
                Request(word, [{"role": "user", "content": word}], sampling, 40, 7) for word in words
            )
        )
    finally:
        engine.close()


def test_sampling_and_variables_of_the_template_are_sent(
    server: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    variables = {"enable_thinking": False}
    _asked(server, 0.7, "hello", chat_template_kwargs=variables)
    body = server.bodies[-1]
    assert {name: body[name] for name in FURTHER} == FURTHER | {"stop": ["\n"]}
    assert body["chat_template_kwargs"] == variables and "repetition_penalty" not in body
    assert (
        "whether it uses llm.sampling.top_k and llm.sampling.min_p and llm.sampling.bad_words" in caplog.text
    )
    assert "llm.chat_template_kwargs, only its documentation says" in caplog.text


def test_a_server_of_vllm_gets_every_value_that_it_would_else_take_from_the_models_file(
    server: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.models = http({"data": [{"id": "other"}, {"id": "served", "owned_by": "vllm"}]})
    neutral = {
        "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    }  # fmt: skip
    _asked(server, 0.7, "hello", sampling={"top_k": 20})
    assert neutral | {"top_k": 20} == {name: server.bodies[-1][name] for name in neutral}
    _asked(server, 0.0, "hello", sampling={"top_k": 20, "repetition_penalty": 1.1})
    assert neutral | {"repetition_penalty": 1.1} == {name: server.bodies[-1][name] for name in neutral}
    assert not caplog.text


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"message": "Unrecognized request argument supplied: top_k"}, r"llm\.sampling\.top_k'.*Remove it"),
        ({"message": "Invalid value", "param": "stop"}, r"llm\.sampling\.stop'"),
        (
            {"message": "extra field 'chat_template_kwargs'"},
            r"llm\.chat_template_kwargs'.*or use a server that takes it",
        ),
    ],
)
def test_a_field_that_the_server_refuses_ends_the_run_and_is_named(
    server: FaultyServer, error: dict[str, str], said: str
) -> None:
    server.choose = lambda word, count: "answer"
    server.answers = {"answer": http({"error": error}, "400 Bad Request")}
    with pytest.raises(UserError, match=rf"{said}") as caught:
        _asked(server, 0.7, *map(str, range(100)), chat_template_kwargs={"a": 1})
    assert "the server refuses the field" in str(caught.value) and "HTTP 400" in str(caught.value)
    assert len(server.bodies) <= 8


def test_a_refusal_of_one_request_ends_no_run(server: FaultyServer) -> None:
    server.choose = lambda word, count: "answer" if word == "a" else None
    said = {"message": "maximum context length is 512, but max_tokens is 40: stop it", "param": "messages"}
    server.answers = {"answer": http({"error": said}, "400 Bad Request")}
    results = {result.key: result for result in _asked(server, 0.7, "a", "b")}
    assert results["a"].permanent and results["b"].text == "said b"


def test_a_server_that_is_away_is_named_before_the_first_request() -> None:
    speed = PARAMS.speed.model_copy(update={"endpoint_retries": 1})
    with pytest.raises(UserError, match=r"llm\.endpoint'.*cannot be asked for its models"):
        EndpointEngine(_llm("http://127.0.0.1:9/v1"), speed)


def test_a_server_that_refuses_the_key_is_no_matter_of_its_url() -> None:
    said = str(_unasked("http://host:8000/v1", Unanswered("HTTP 401: no such key")))
    assert "OPENAI_API_KEY" in said and "correct the URL" not in said
    assert "correct the URL" in str(_unasked("http://host:8000/v1", Unanswered("HTTP 404: no such page")))


@pytest.mark.alone
def test_every_fault_costs_its_own_row_and_gives_no_key_away(
    server: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    names = [*FAULTS, *(f"fine {i}" for i in range(20))]
    server.choose = lambda word, count: word if word in FAULTS else None
    timeout_s = 2.0  # many requests at once, on a machine that may be busy
    engine = _engine(
        server, endpoint_concurrency=len(names), endpoint_retries=1, endpoint_timeout_s=timeout_s
    )
    since = time.monotonic()
    results = _ask(engine, *names)
    assert time.monotonic() - since < 2 * timeout_s + 4, "more than the tries and the waits between them"
    for name, result in results.items():
        fault = FAULTS.get(name)
        if fault is None or fault.error is None:
            assert result.text == right_text(name) and result.error is None, (name, result)
            json.dumps([result.prompt_tokens, result.output_tokens, result.cached_tokens], allow_nan=False)
        else:
            assert result.text is None and re.search(fault.error, result.error or ""), (name, result)
            assert len(result.error or "") <= 400 and (result.error or "").isprintable()
            assert server.seen[name] == (2 if fault.again else 1), (name, result)
        for size in range(len(KEY) - 8):
            assert KEY[size : size + 8] not in str(result) + caplog.text, name


def test_faults_of_the_service_that_pass_cost_nothing(server: FaultyServer) -> None:
    names = [name for name, fault in FAULTS.items() if fault.again and fault.error]
    server.choose = lambda word, count: word if count == 1 else None
    engine = _engine(server, endpoint_concurrency=len(names), endpoint_timeout_s=2.0)
    for name, result in _ask(engine, *names).items():
        assert result.text == right_text(name) and server.seen[name] == 2, (name, result)


def test_what_a_later_run_asks_again(server: FaultyServer) -> None:
    server.choose = lambda word, count: word
    words = ("500", "hang", "401", "400", "choices empty", "content null")
    results = _ask(_engine(server, endpoint_retries=0, endpoint_timeout_s=0.2), *words)
    assert [results[word].external for word in words] == [True] * 5 + [False]
    assert [results[word].permanent for word in words] == [False] * 3 + [True] + [False] * 2


def test_thoughts_that_a_server_keeps_and_the_limit_cut_leave_no_text(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = {"role": "assistant", "content": None, "reasoning_content": "Two boats, or"}
    choice = {"index": 0, "finish_reason": "length", "message": message}
    answer = {"choices": [choice], "usage": {"completion_tokens": 40}}
    monkeypatch.setitem(FAULTS, "cut", Fault(lambda word: [http(json.dumps(answer).encode())], None, False))
    server.choose = lambda word, count: word
    assert _ask(_engine(server), "cut")["cut"] == Result(
        "cut", text="", finish_reason="length", output_tokens=40
    )


def test_a_server_that_is_down_ends_the_run_with_a_remedy(server: FaultyServer) -> None:
    server.choose = lambda word, count: "500"
    engine, came = _engine(server, endpoint_retries=1), []
    with pytest.raises(UserError, match=r"failed 20 requests in a row.*HTTP 500.*run the stage again"):
        came.extend(engine.generate(_requests(*map(str, range(1000)))))
    engine.close()
    assert sum(server.seen.values()) <= 2 * (20 + 4)


def test_rows_that_fail_for_their_own_sake_end_no_run(server: FaultyServer) -> None:
    server.choose = lambda word, count: "400"
    assert len(_ask(_engine(server), *map(str, range(60)))) == 60


def test_no_more_than_the_concurrency_is_in_flight(server: FaultyServer) -> None:
    assert len(_ask(_engine(server, endpoint_concurrency=3), *(f"w{i}" for i in range(30)))) == 30
    assert server.most_at_once <= 3


SCRIPT = """
import sys; sys.path.insert(0, {root!r})
from tests.pipeline.llm.test_endpoint_engine import *
from tests.pipeline.llm.test_endpoint_engine import _llm, _requests
engine = EndpointEngine(_llm({url!r}), PARAMS.speed)
try:
    for result in engine.generate(_requests(*map(str, range(100)))):
        print(result.error, flush=True)
finally:
    engine.close()
"""


@pytest.mark.alone
@pytest.mark.parametrize("fault", ["hang", "drip", "busy, inf"])
def test_an_interrupt_ends_it_soon_whatever_the_server_does(server: FaultyServer, fault: str) -> None:
    server.choose = lambda word, count: fault
    script = SCRIPT.format(root=str(ROOT), url=server.url)
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    while not server.seen:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    since = time.monotonic()
    _, said = process.communicate(timeout=20)
    assert time.monotonic() - since < 5 and b"KeyboardInterrupt" in said


@pytest.mark.alone
def test_closing_waits_for_nothing(server: FaultyServer) -> None:
    server.choose = lambda word, count: "busy, inf" if word == "busy" else "hang"
    engine = _engine(server, endpoint_timeout_s=100.0)
    results = engine.generate(_requests("content null", "busy", "a", "b"))
    server.choose = lambda word, count: word if word in FAULTS else "hang"
    assert next(results).error
    since = time.monotonic()
    engine.close()
    engine.close()
    assert time.monotonic() - since < 1


@pytest.mark.parametrize(
    "key", ["two words here", "caf\u00e9-0123456", "sk-01234\x0056789", "sk-0123\n456789"]
)
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    if "\0" in key:
        monkeypatch.setattr(os, "environ", os.environ | {"OPENAI_API_KEY": key})
    else:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(UserError, match=r"OPENAI_API_KEY.*the key holds") as caught:
        _engine(server)
    assert not any(piece in str(caught.value) for piece in re.findall(r"\w{4,}", key))


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@host/v1",
        "host:8000/v1",
        "ftp://host/v1",
        "http://",
        "http://[::1/v1",
        "http://h/v1?key=a",
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(UserError, match=r"llm\.endpoint") as caught:
        EndpointEngine(_llm(url), PARAMS.speed)
    assert "hunter2" not in str(caught.value)


def test_the_identity_is_what_the_server_says_and_outlives_it(server: FaultyServer, tmp_path: Path) -> None:
    said = reported_model(_llm(server.url), tmp_path)
    assert said == {"id": "served", "root": "org/model", "revision": "r1"}
    gone = _llm("http://127.0.0.1:9/v1")
    with pytest.raises(UserError, match="cannot be asked"):
        reported_model(gone, tmp_path)
    known = remembered(tmp_path / "endpoint_models.json")
    known["http://127.0.0.1:9/v1/ served"] = said
    remember(tmp_path / "endpoint_models.json", known)
    assert reported_model(gone, tmp_path) == said


def test_a_model_that_is_not_served_is_named(server: FaultyServer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not serve.*other.*Use one of served"):
        reported_model(_llm(server.url, "other"), tmp_path)


@pytest.mark.parametrize(
    "answer",
    [
        None, [], {}, "served", {"data": None}, {"data": [1]}, {"data": [{}]}, {"data": {"id": "served"}},
        {"data": [{"id": ["served"]}]}, b"<html>", b"[" * 100_000,
    ],
)  # fmt: skip
def test_an_odd_list_of_models_is_one_clear_line(server: FaultyServer, tmp_path: Path, answer: Any) -> None:
    server.models = http(answer)
    with pytest.raises(UserError, match=r"llm\.(endpoint|model)"):
        reported_model(_llm(server.url), tmp_path)


def test_a_key_among_the_models_is_not_kept(server: FaultyServer, tmp_path: Path) -> None:
    server.models = http({"data": [{"id": "served", "root": f"for {KEY}", "revision": [KEY]}, {"id": KEY}]})
    assert reported_model(_llm(server.url), tmp_path) == {"id": "served", "root": "for ***"}
    assert KEY not in (tmp_path / "endpoint_models.json").read_text()
    with pytest.raises(UserError) as caught:
        reported_model(_llm(server.url, "other"), tmp_path)
    assert KEY not in str(caught.value)
