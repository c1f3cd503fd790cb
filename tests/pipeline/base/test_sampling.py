"""llm.sampling: what it takes, what it refuses, and what of it can change a text."""

import math
from typing import Any

import pytest

from pipeline.base.sampling import ELSEWHERE, NEUTRAL, changes, checked_sampling

RIGHT: list[dict[str, Any]] = [
    {}, NEUTRAL, {"top_k": 20, "min_p": 0.05}, {"top_k": -1}, {"min_p": 1}, {"repetition_penalty": 0.1},
    {"presence_penalty": -2, "frequency_penalty": 2.0}, {"stop": "\n\n"}, {"stop": [" ", "x"]},
    {"stop_token_ids": [0, 151645]}, {"bad_words": ["sorry"]},
]  # fmt: skip
WRONG: list[tuple[str, Any, str]] = [
    *[("top_k", value, "integer of at least 1") for value in (-2, 1.0, "5", True, None)],
    *[("min_p", value, "number from 0 to 1") for value in (-0.1, 1.1, "0.5", math.nan, True, None)],
    *[("repetition_penalty", value, "number above 0") for value in (0, -1, math.inf, math.nan, "1")],
    *[("presence_penalty", value, "number from -2 to 2") for value in (2.1, -3, None)],
    ("frequency_penalty", 3, "number from -2 to 2"),
    *[("stop", value, "a text or a list of texts") for value in ("", [""], ["a", 1], 3, {"a": 1}, "\ud800")],
    *[("bad_words", value, "list of texts") for value in ("word", [" "], [1], None)],
    *[("stop_token_ids", value, "list of integers") for value in (3, [-1], [True], ["1"], [2**40])],
    *[(name, 1, parameter) for name, parameter in ELSEWHERE.items()],
    *[(name, 1, "top_k, min_p") for name in ("topk", "min_tokens", "logit_bias", "best_of", "")],
]


@pytest.mark.parametrize("value", RIGHT)
def test_what_is_right_is_taken_as_it_stands(value: dict[str, Any]) -> None:
    assert checked_sampling(value) is value


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_what_is_wrong_is_named_with_what_would_be_right(name: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}'.*{said}"):
        checked_sampling({name: value})


def test_neutral_values_change_nothing() -> None:
    assert changes({}, greedy=False) == changes(NEUTRAL, greedy=False) == {}
    assert changes({"top_k": -1, "min_p": 0, "repetition_penalty": 1, "stop": []}, greedy=False) == {}


def test_one_way_of_drawing_has_one_form() -> None:
    one = {"stop": "x", "repetition_penalty": 2, "top_k": 5}
    other = {"top_k": 5, "repetition_penalty": 2.0, "stop": ["x", "x"]}
    assert changes(one, greedy=False) == changes(other, greedy=False)
    assert list(changes(one, greedy=False)) == list(changes(other, greedy=False))


def test_greedy_decoding_draws_nothing() -> None:
    assert changes({"top_k": 5, "min_p": 0.2, "stop": "x"}, greedy=True) == {"stop": ["x"]}
