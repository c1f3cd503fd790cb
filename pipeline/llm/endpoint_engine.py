"""Any OpenAI-compatible server (`vllm serve` and others) as an engine."""

import json
import logging
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event
from typing import Any

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_result,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_exponential_jitter,
)

from pipeline.base.errors import parameter_error
from pipeline.base.files import remember, remembered
from pipeline.base.params import LlmParams, SpeedParams
from pipeline.llm.types import Engine, Request, Result, one_line

log = logging.getLogger(__name__)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
PASSING = {408, 409, 425, 429, 500, 502, 503, 504}  # statuses worth another try
_BACKOFF = wait_exponential_jitter(initial=FIRST_WAIT_S, max=LONGEST_WAIT_S, jitter=FIRST_WAIT_S)
_IDENTITY_FIELDS = ("id", "root", "parent", "revision", "version")  # of /models; its other fields vary


class EndpointEngine(Engine):
    """Sends at most `endpoint_concurrency` requests at once, and repeats one after a temporary error."""

    def __init__(self, params: LlmParams, speed: SpeedParams) -> None:
        self._model = params.model
        self._concurrency = speed.endpoint_concurrency
        self._client = httpx.Client(
            base_url=_base(params),
            headers=_headers(),
            timeout=speed.endpoint_timeout_s,
            limits=httpx.Limits(max_connections=self._concurrency),
        )
        self._pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="endpoint")
        self._closing = Event()
        self._retrying = Retrying(
            retry=retry_if_result(lambda answer: answer[1] is not None),
            stop=stop_after_attempt(speed.endpoint_retries + 1) | stop_when_event_set(self._closing),
            wait=_wait,
            sleep=sleep_using_event(self._closing),
            retry_error_callback=_last_answer,
        )

    def generate(self, requests: Iterable[Request]) -> Iterator[Result]:
        """Yield results as the server answers."""
        source = iter(requests)
        pending: set[Future[Result]] = set()
        while True:
            while len(pending) < self._concurrency and (request := next(source, None)) is not None:
                pending.add(self._pool.submit(self._ask, request))
            if not pending:
                return
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()

    def close(self) -> None:
        """Drop what has not been sent yet and close the connections."""
        self._closing.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def _ask(self, request: Request) -> Result:
        """Send a request until it succeeds, gets a permanent error, or has used up its retries."""
        body: dict[str, Any] = {
            "model": self._model,
            "messages": request.messages,
            **{name: value for name, value in request.sampling_arguments().items() if value is not None},
        }
        if request.json_schema is not None:
            schema = {"name": "caption", "schema": request.json_schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        result, _ = self._retrying(self._post, request.key, body)
        return result

    def _post(self, key: str, body: dict[str, Any]) -> tuple[Result, float | None]:
        """Send a request once.

        Returns:
            its result, and, if another try may help, the seconds that the server asks to wait (or 0).
        """
        try:
            response = self._client.post("chat/completions", json=body)
            if response.status_code == 200:
                return _result(key, response.json()), None
        except (httpx.TransportError, json.JSONDecodeError) as error:
            return Result(key, error=one_line(error)), 0.0
        except (KeyError, IndexError, TypeError, ValueError) as error:
            return Result(key, error=f"the server's answer is not understood: {one_line(error)}"), None
        status = response.status_code
        failure = f"HTTP {status}: {one_line(response.text)}"
        if status in PASSING:
            return Result(key, error=failure), _retry_after(response)
        return Result(key, error=failure, permanent=status in (400, 413, 422)), None


def reported_model(params: LlmParams, cache: Path) -> dict[str, Any]:
    """The model's id, root and revision as the server reports them (`GET /models`).

    The last answer is remembered under `cache`, so that tables can be written again from a full row cache
    while the server is away; a warning says so.

    Raises:
        UserError: the server does not serve the model, or cannot be reached and never was.
    """
    store = cache / "endpoint_models.json"
    known = remembered(store)
    name = f"{_base(params)} {params.model}"
    try:
        answer = httpx.get(_base(params) + "models", headers=_headers(), timeout=10)
        answer.raise_for_status()
        served = {entry["id"]: entry for entry in answer.json()["data"]}
    except (httpx.HTTPError, json.JSONDecodeError, KeyError, TypeError) as error:
        if name in known:
            log.warning(
                "the server %s cannot be reached (%s): its model is taken to be that of its last answer",
                params.endpoint,
                one_line(error),
            )
            return known[name]
        remedy = "Start it, or correct the URL (as in http://localhost:8000/v1)"
        value = f"{params.endpoint}: {one_line(error)}"
        reason = "the server cannot be asked for its models"
        raise parameter_error(reason, remedy, "llm.endpoint", value) from None
    if params.model not in served:
        remedy = "Use one of " + ", ".join(sorted(served))
        raise parameter_error("the server does not serve this model", remedy, "llm.model", params.model)
    model = served[params.model]
    known[name] = {field: model[field] for field in _IDENTITY_FIELDS if model.get(field)}
    remember(store, known)
    return known[name]


def _wait(state: RetryCallState) -> float:
    """Seconds before the next try: those that the server asks for, else longer each time."""
    return _last_answer(state)[1] or _BACKOFF(state)


def _last_answer(state: RetryCallState) -> tuple[Result, float | None]:
    assert state.outcome is not None
    return state.outcome.result()


def _result(key: str, answer: dict[str, Any]) -> Result:
    choice, usage = answer["choices"][0], answer.get("usage") or {}
    text = choice["message"].get("content")
    if text is None or choice.get("finish_reason") not in ("stop", "length"):
        return Result(key, error=f"the server ended the request: {choice.get('finish_reason')}")
    details = usage.get("prompt_tokens_details") or {}
    return Result(
        key,
        text=text,
        finish_reason=choice["finish_reason"],
        prompt_tokens=usage.get("prompt_tokens"),
        output_tokens=usage.get("completion_tokens"),
        cached_tokens=details.get("cached_tokens"),
    )


def _retry_after(response: httpx.Response) -> float:
    try:
        return max(0.0, min(LONGEST_WAIT_S, float(response.headers["Retry-After"])))
    except (KeyError, ValueError):
        return 0.0


def _base(params: LlmParams) -> str:
    return (params.endpoint or "").rstrip("/") + "/"


def _headers() -> dict[str, str]:
    key = os.environ.get("OPENAI_API_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}
