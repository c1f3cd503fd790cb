"""Any OpenAI-compatible server (`vllm serve` and others) as an engine.

A request is sent again as long as the service fails: no whole answer comes (no connection, a timeout, broken
HTTP, a body that is too large), the status is 408, 409, 425, 429 or 5xx, or the answer is no chat completion.
Any other answer counts, whatever it says: a text, a completion without one, a redirect, another 4xx. But a
4xx that refuses a field which every request has ends the run.

vLLM's own server fills what a request leaves out from the model's `generation_config.json`. So it gets every
such value, at that which changes nothing: the texts are those of the engine in this process.
"""

import asyncio
import logging
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from threading import Thread
from typing import Any

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_result,
    stop_after_attempt,
    wait_exponential_jitter,
)

from pipeline.base.errors import UserError, one_line, parameter_error
from pipeline.base.files import remember, remembered
from pipeline.base.params import LlmParams, SpeedParams
from pipeline.base.sampling import NEUTRAL, changes
from pipeline.llm.endpoint_http import Answer, Server, Unanswered
from pipeline.llm.pictures import Picture, data_url
from pipeline.llm.prompt import Message
from pipeline.llm.types import Engine, Request, Result, Sampling

log = logging.getLogger(__name__)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
CLOSE_S = 2.0
MODELS_S = 10.0
FAILURES_IN_A_ROW = 20  # of the service, or as many as are sent at once: then it is down
TRIAL_SIDE = 64  # pixels of the image that is sent before all others
_TRIAL: list[Message] = [{"role": "user", "content": "What is this?"}]
_PASSING = {408, 409, 425, 429}  # statuses below 500 that are worth another try
_MOST_TOKENS = 2**31 - 1
_VLLM = "vllm"  # what vLLM's server says as `owned_by` of its models
_OPENAI = ("stop", "presence_penalty", "frequency_penalty")  # of llm.sampling: any server takes these
_FILLED = ("top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty")  # from that file
_IDENTITY_FIELDS = ("id", "root", "parent", "revision", "version")  # of /models; its other fields vary


class EndpointEngine(Engine):
    """Sends at most `endpoint_concurrency` requests at once, from a thread of its own.

    A request takes at most `endpoint_retries` + 1 tries of `endpoint_timeout_s` each, and `LONGEST_WAIT_S`
    between two of them.

    Raises:
        UserError: the URL or the key cannot be used, or the server cannot be asked for its models.
    """

    def __init__(self, params: LlmParams, speed: SpeedParams) -> None:
        self._model, self._shown = params.model, params.endpoint
        self._variables = params.chat_template_kwargs
        self._concurrency, self._timeout_s = speed.endpoint_concurrency, speed.endpoint_timeout_s
        self._server = Server(params, self._concurrency)
        self._retrying = AsyncRetrying(
            retry=retry_if_result(lambda tried: tried[1] is not None),
            stop=stop_after_attempt(speed.endpoint_retries + 1),
            wait=_wait,
            retry_error_callback=_last_try,
        )
        self._images_taken = not params.images  # whether it need not be asked any more
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="endpoint", daemon=True)
        self._thread.start()
        try:
            tries = speed.endpoint_retries + 1
            owner = asyncio.run_coroutine_threadsafe(self._owner(tries), self._loop).result()
        except BaseException:
            self.close()
            raise
        # an older vLLM takes -1 alone for "all tokens"
        filled = {name: NEUTRAL[name] for name in _FILLED} | {"top_k": -1}
        self._defaults: dict[str, Any] = filled if owner == _VLLM else {}
        if owner != _VLLM and (beyond := _beyond_openai(params)):
            log.warning(
                "the server %s does not say that it is vLLM: whether it uses %s, only its documentation says",
                params.endpoint,
                " and ".join(beyond),
            )

    def generate(self, requests: Iterable[Request]) -> Iterator[Result]:
        """Yield results as the server answers.

        Raises:
            UserError: the service failed so many requests in a row that it must be down, or refuses a field
                that every request has, or a request with an image, of which one is sent before all others.
        """
        self._try_image()
        source = iter(requests)
        pending: set[Future[Result]] = set()
        failures, most = 0, max(FAILURES_IN_A_ROW, self._concurrency)
        try:
            while True:
                while len(pending) < self._concurrency and (request := next(source, None)) is not None:
                    pending.add(asyncio.run_coroutine_threadsafe(self._ask(request), self._loop))
                if not pending:
                    return
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    result = future.result()  # or the error that ends the run
                    failures = failures + 1 if result.external and not result.permanent else 0
                    yield result
                    if failures >= most:
                        raise UserError(
                            f"the server {self._shown} failed {failures} requests in a row",
                            "See to the server, its URL and its key, then run the stage again: what was "
                            "generated is kept",
                            field="llm.endpoint",
                            value=result.error,
                        )
        finally:
            for future in pending:
                future.cancel()

    def close(self) -> None:
        """Drop all requests and close the connections, within `CLOSE_S`."""
        if not self._loop.is_closed() and self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop)
            self._thread.join(CLOSE_S)
            if not self._thread.is_alive():
                self._loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._server.close()
        finally:
            self._loop.stop()

    def _try_image(self) -> None:
        if self._images_taken:
            return
        from PIL import Image

        grey = data_url(Image.new("RGB", (TRIAL_SIDE, TRIAL_SIDE), "grey"))
        body = {"model": self._model, "messages": with_image(_TRIAL, grey), "max_tokens": 1}
        trial = Request("trial", _TRIAL, Sampling.of(0, 1, 0), 1, None)
        result = asyncio.run_coroutine_threadsafe(self._send(trial, body), self._loop).result()
        if result.permanent:
            remedy = "Serve a model that takes images, or set llm.images to false"
            reason = f"the server {self._shown} refuses a request with an image"
            raise parameter_error(reason, remedy, "llm.model", f"{self._model}: {result.error}")
        self._images_taken = True

    async def _ask(self, request: Request) -> Result:
        """Send a request until an answer counts, or its tries are used up."""
        messages: list[Any] = request.messages
        if request.picture is not None:
            try:
                messages = with_image(messages, await asyncio.to_thread(_url, request.picture))
            except ValueError as error:
                return Result.without_picture(request.key, error)
        body: dict[str, Any] = {
            "model": self._model,
            "messages": messages,
            **self._defaults,
            **{name: value for name, value in request.sampling_arguments().items() if value is not None},
        }
        if self._variables:
            body["chat_template_kwargs"] = self._variables
        if request.json_schema is not None:
            schema = {"name": "caption", "schema": request.json_schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return await self._send(request, body)

    async def _send(self, request: Request, body: dict[str, Any]) -> Result:
        tried: tuple[Result, float | None] = await self._retrying.copy()(self._try, request, body)
        return tried[0]

    async def _try(self, request: Request, body: dict[str, Any]) -> tuple[Result, float | None]:
        """Send a request once.

        Returns:
            its result, and, if the service failed, the seconds that the server asks to wait (or 0).
        """
        try:
            answer = await self._server.ask("POST", "chat/completions", self._timeout_s, body)
        except Unanswered as error:
            return Result(request.key, error=str(error), external=True), 0.0
        if answer.status == 200:
            try:
                return self._result(request, answer), None
            except (LookupError, TypeError, AttributeError, ValueError) as error:
                reason = f"the server's answer is not understood: {_named(error)} in {answer.text}"
                return Result(request.key, error=one_line(reason), external=True), 0.0
        failure = one_line(f"HTTP {answer.status}: {answer.text}")
        if 300 <= answer.status < 500 and answer.status not in _PASSING:
            own = answer.status in (400, 413, 422)  # of the request, as far as this server can tell
            if own and (field := _refused(body, answer)) is not None:
                raise _field_error(field, failure)
            return Result(request.key, error=failure, external=True, permanent=own), None
        return Result(request.key, error=failure, external=True), answer.retry_after or 0.0

    def _result(self, request: Request, answer: Answer) -> Result:
        """The result of a chat completion; another value raises whatever comes of reading it."""
        choice, usage = answer.value["choices"][0], answer.value.get("usage")
        text, reason = choice["message"].get("content"), choice.get("finish_reason")
        if text is None and reason == "length":
            text = ""  # the server keeps the thoughts to itself, and there was nothing else yet
        if text is None or reason not in ("stop", "length"):
            ended = self._server.hidden(one_line(str(reason)))
            how = " without a text" if text is None else ""
            return Result(request.key, error=f"the server ended the request{how}: {ended}")
        text = self._server.hidden_in_text(text)
        text.encode()  # no text with half of a surrogate pair
        details = _get(usage, "prompt_tokens_details")
        return Result(
            request.key,
            text=text,
            finish_reason=reason,
            prompt_tokens=_tokens(usage, "prompt_tokens"),
            output_tokens=_tokens(usage, "completion_tokens", request.max_tokens),
            cached_tokens=_tokens(details, "cached_tokens"),
        )

    async def _owner(self, tries: int) -> Any:
        """Who the server says that the model is owned by; None where it says nothing.

        Raises:
            UserError: it cannot be asked.
        """
        for done in range(1, tries + 1):
            try:
                entries = await _entries(self._server)
                break
            except Unanswered as error:
                if done == tries:
                    raise _unasked(self._shown, error) from None
                await asyncio.sleep(min(FIRST_WAIT_S * 2 ** (done - 1), LONGEST_WAIT_S))
        return next((entry.get("owned_by") for entry in entries if entry["id"] == self._model), None)


def with_image(messages: list[Message], url: str) -> list[Any]:
    """Messages as OpenAI's API takes them, with an image before the text of the last one."""
    *others, last = messages
    image = {"type": "image_url", "image_url": {"url": url}}
    return [*others, {**last, "content": [image, {"type": "text", "text": last["content"]}]}]


def reported_model(params: LlmParams, cache: Path) -> dict[str, Any]:
    """The model's id, root and revision as the server reports them (`GET /models`).

    The last answer is remembered under `cache`, so that tables can be written again from a full row cache
    while the server is away; a warning says so.

    Raises:
        UserError: the server does not serve the model, or cannot be reached and never was.
    """
    server = Server(params, 1)
    store = cache / "endpoint_models.json"
    known = remembered(store)
    name = f"{server.base} {params.model}"
    try:
        served = asyncio.run(_served(server))
    except Unanswered as error:
        if name in known:
            log.warning(
                "the server %s cannot be reached (%s): its model is taken to be that of its last answer",
                params.endpoint,
                error,
            )
            return known[name]
        raise _unasked(params.endpoint, error) from None
    if params.model not in served:
        remedy = "Use one of " + one_line(", ".join(sorted(served)))
        raise parameter_error("the server does not serve this model", remedy, "llm.model", params.model)
    known[name] = served[params.model]
    remember(store, known)
    return known[name]


async def _served(server: Server) -> dict[str, dict[str, Any]]:
    """By the names of the models, what identifies them.

    Raises:
        Unanswered: the server gave no list of models.
    """
    try:
        entries = await _entries(server)
    finally:
        await server.close()
    return {server.hidden(entry["id"]): _identity(entry, server) for entry in entries}


async def _entries(server: Server) -> list[dict[str, Any]]:
    """What the server says of each of its models.

    Raises:
        Unanswered: the server gave no list of models.
    """
    answer = await server.ask("GET", "models", MODELS_S)
    if answer.status != 200:
        raise Unanswered(one_line(f"HTTP {answer.status}: {answer.text}"))
    try:
        return [entry for entry in answer.value["data"] if isinstance(entry["id"], str)]
    except (LookupError, TypeError) as error:
        reason = f"the server's list of models is not understood: {_named(error)} in {answer.text}"
        raise Unanswered(one_line(reason)) from None


def _unasked(url: str | None, error: Unanswered) -> UserError:
    remedy = "Start it, or correct the URL (as in http://localhost:8000/v1)"
    if str(error).startswith(("HTTP 401", "HTTP 403")):
        remedy = "Set the variable OPENAI_API_KEY to a key that the server takes"
    reason = "the server cannot be asked for its models"
    return parameter_error(reason, remedy, "llm.endpoint", f"{url}: {error}")


def _beyond_openai(params: LlmParams) -> list[str]:
    """What is set that OpenAI's API does not know."""
    names = [f"llm.sampling.{name}" for name in changes(params.sampling, greedy=False) if name not in _OPENAI]
    return [*names, *(["llm.chat_template_kwargs"] if params.chat_template_kwargs else [])]


def _refused(body: dict[str, Any], answer: Answer) -> str | None:
    """The field, equal in all requests, that an answer refuses; None where it is about this request."""
    error = _get(answer.value, "error")
    culprit = _get(error, "param")
    said = str(_get(error, "message") or answer.text)
    for name in body.keys() & {*NEUTRAL, "chat_template_kwargs", "response_format"}:
        # one without an underscore is a word, which may be that of a prompt
        if name == culprit or ("_" in name and re.search(rf"\b{name}\b", said)):
            return name
    return None


def _field_error(field: str, failure: str) -> UserError:
    parameter, remedy = {
        "response_format": ("llm.output", "Set it to text"),
        "chat_template_kwargs": ("llm.chat_template_kwargs", "Remove it"),
    }.get(field, (f"llm.sampling.{field}", "Remove it, or correct its value"))
    remedy += ", or use a server that takes it, such as vLLM's"
    return parameter_error(f"the server refuses the field '{field}'", remedy, parameter, failure)


def _identity(entry: dict[str, Any], server: Server) -> dict[str, Any]:
    fields = {name: entry[name] for name in _IDENTITY_FIELDS if entry.get(name)}
    return {name: server.hidden(str(value)) for name, value in fields.items() if isinstance(value, str | int)}


def _url(picture: Picture) -> str:
    return data_url(picture.load())


def _wait(state: RetryCallState) -> float:
    """Seconds before the next try: those that the server asks for, else longer each time."""
    backoff = wait_exponential_jitter(initial=FIRST_WAIT_S, max=LONGEST_WAIT_S, jitter=FIRST_WAIT_S)
    return min(_last_try(state)[1] or backoff(state), LONGEST_WAIT_S)


def _last_try(state: RetryCallState) -> tuple[Result, float | None]:
    assert state.outcome is not None
    return state.outcome.result()


def _tokens(usage: Any, name: str, most: int = _MOST_TOKENS) -> int | None:
    """A number of tokens that can be true, else None: servers put anything there."""
    count = _get(usage, name)
    return count if type(count) is int and 0 <= count <= most else None


def _get(mapping: Any, name: str) -> Any:
    return mapping.get(name) if isinstance(mapping, dict) else None


def _named(error: Exception) -> str:
    return type(error).__name__
