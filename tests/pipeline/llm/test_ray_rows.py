"""What Ray's processor is given and what is made of its rows, without Ray."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.base.sampling import NEUTRAL
from pipeline.llm.ray_rows import ERROR, ROW, RayRows
from pipeline.llm.types import Request, Result, Sampling

END, BLANK = 2, 9


class Plain(RayRows):
    """A model of 12 tokens of context; token 9 is a blank line, at which a model without a template stops."""

    opening = ""  # of the thoughts

    def __init__(self, stops: tuple[str, ...] = (), adapter: str | None = None) -> None:
        self._tokenizer = SimpleNamespace(
            decode=lambda ids: "".join("\n\n" if i == BLANK else "a" for i in ids)
        )
        self._context = 12
        self._ends = {END}
        self._chat: Any = SimpleNamespace(
            stops=lambda _: stops, token_ids=self._token_ids, answer=self._answer
        )
        self._adapter = adapter

    def _answer(self, request: Request, text: str) -> str:
        return self.opening + text

    def _token_ids(self, messages: list[dict[str, str]], with_image: bool = False) -> list[int]:
        if messages[0]["content"] == "refused":
            raise ValueError("a template\nrefuses it")
        return [5] * len(messages[0]["content"])


def _request(
    content: str = "abcd", max_tokens: int = 3, seed: int | None = 7, further: dict[str, Any] | None = None
) -> Request:
    sampling = Sampling.of(0.5, 0.9, 1, further)
    return Request("k", [{"role": "user", "content": content}], sampling, max_tokens, seed)


def _answer(tokens: list[int], **changes: Any) -> dict[str, Any]:
    row = {
        "key": "k",
        ERROR: "",
        "generated_tokens": tokens,
        "generated_text": "a text",
        "num_input_tokens": 4,
    }
    return {**row, **changes}


def test_a_row_holds_the_tokens_and_the_sampling_of_its_request() -> None:
    rows = Plain(("\n\n",))
    row = rows.row(_request())
    assert isinstance(row, dict)
    (back,) = rows.table([row])[ROW].to_pylist()
    sampling = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "max_tokens": 3, "stop": ["\n\n"]}
    unbound = {**NEUTRAL, **sampling, "skip_special_tokens": False, "structured_outputs": None}
    assert back == {"key": "k", "tokenized_prompt": [5, 5, 5, 5], "sampling_params": unbound}
    under = rows.row(replace(_request(), json_schema={"type": "object"}))
    assert isinstance(under, dict)
    assert rows.table([under])[ROW].to_pylist()[0]["sampling_params"]["structured_outputs"] == {
        "json": '{"type": "object"}'
    }
    greedy = rows.row(_request(seed=None))
    assert (
        isinstance(greedy, dict) and rows.table([greedy])[ROW].to_pylist()[0]["sampling_params"]["seed"] == 0
    )


def test_every_key_of_the_sampling_reaches_the_processor_as_it_is() -> None:
    values = {
        "top_k": 5, "min_p": 0.1, "repetition_penalty": 1.5, "presence_penalty": -1.0,
        "frequency_penalty": 2.0, "stop": ["b", "c"], "stop_token_ids": [7, 8], "bad_words": ["d"],
    }  # fmt: skip
    assert values.keys() == NEUTRAL.keys()
    rows = Plain(("\n\n",))
    row = rows.row(_request(further=values))
    assert isinstance(row, dict)
    (back,) = rows.table([row])[ROW].to_pylist()
    assert values | {"stop": ["b", "c", "\n\n"]} == {name: back["sampling_params"][name] for name in values}


@pytest.mark.parametrize(
    ("further", "tokens", "reason"),
    [
        ({"stop": "aa"}, [5, 5], "stop"),
        ({"stop": ["x", "aaa"]}, [5, 5, 5], "stop"),
        ({"stop_token_ids": [6]}, [5, 6], "stop"),
        ({"stop_token_ids": [6]}, [6, 5, 5], "length"),
        ({"stop": "aaaa"}, [5, 5, 5], "length"),
    ],
)
def test_so_does_that_of_a_stop_of_the_parameters(
    further: dict[str, Any], tokens: list[int], reason: str
) -> None:
    assert Plain().result(_request(further=further), _answer(tokens)).finish_reason == reason


def test_an_adapter_is_named_in_every_row() -> None:
    rows = Plain(adapter="/adapters/one")
    row = rows.row(_request())
    assert isinstance(row, dict)
    assert rows.table([row])[ROW].to_pylist()[0]["model"] == "/adapters/one"


def test_what_no_engine_could_answer_fails_before_it_is_sent() -> None:
    long = Plain().row(_request("a" * 12))
    assert isinstance(long, Result) and long.permanent and long.prompt_tokens == 12
    assert (long.error or "").startswith("the prompt has 12 tokens and the model's context 12: ")
    assert "max_model_len in llm.engine_args" in (long.error or "")
    refused = Plain().row(_request("refused"))
    assert refused == Result("k", error="ValueError: a template refuses it")


@pytest.mark.parametrize(
    ("tokens", "stops", "prompt", "reason"),
    [
        ([5, END], (), 4, "stop"),
        ([5, 5, END], (), 4, "stop"),  # at the limit, but at its end
        ([5, 5, 5], (), 4, "length"),
        ([5, 5], (), 10, "length"),  # the context is full
        ([5, BLANK], ("\n\n",), 4, "stop"),
        ([5, 5, BLANK], ("\n\n",), 4, "stop"),
        ([5, 5, BLANK], (), 4, "length"),
    ],
)
def test_the_finish_reason_follows_from_the_tokens(
    tokens: list[int], stops: tuple[str, ...], prompt: int, reason: str
) -> None:
    result = Plain(stops).result(_request(), _answer(tokens, num_input_tokens=prompt))
    assert (result.text, result.finish_reason, result.output_tokens) == ("a text", reason, len(tokens))
    assert result.prompt_tokens == prompt and result.error is None


def test_a_text_has_the_mark_of_the_thoughts_that_its_prompt_opened() -> None:
    rows = Plain()
    rows.opening = "<think>"
    assert rows.result(_request(), _answer([END])).text == "<think>a text"


def test_an_error_or_a_row_cut_short_is_a_failure_that_may_pass() -> None:
    failed = Plain().result(_request(), _answer([], **{ERROR: "ValueError: no\nroom"}))
    assert failed == Result("k", error="ValueError: no room")
    cut = Plain().result(_request(), _answer([5]))
    assert cut == Result("k", error="the engine ended the request after 1 tokens") and not cut.permanent
