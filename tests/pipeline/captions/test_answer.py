"""Prompts that ask for JSON, and the caption in an answer."""

import json

import pytest

from pipeline.captions.answer import KEY, SCHEMA, asking_for_json, caption_in

TALK = [
    {"role": "system", "content": "Describe."},
    {"role": "user", "content": "objects:"},
    {"role": "assistant", "content": 'A "big" pier.'},
    {"role": "user", "content": "objects:\n- 2 boat"},
]


def test_instructions_and_examples_ask_for_json_and_the_row_stays() -> None:
    asked = asking_for_json(TALK)
    assert asked[0]["content"].startswith("Describe.\n") and "JSON" in asked[0]["content"]
    assert json.loads(asked[2]["content"]) == {KEY: 'A "big" pier.'}
    assert asked[1] == TALK[1] and asked[3] == TALK[3] and TALK[0]["content"] == "Describe."


def test_the_caption_is_found() -> None:
    assert caption_in('{"caption": "Two boats."}') == "Two boats."
    assert caption_in('{"caption": "Two\nboats."}') == "Two\nboats."  # no strict JSON, but what was meant
    assert list(SCHEMA["properties"]) == [KEY] == SCHEMA["required"]


@pytest.mark.parametrize("answer", ["", "Two boats.", '{"caption": 3}', '["a"]', '{"caption": "Two bo', "{}"])
def test_an_answer_without_one_has_none(answer: str) -> None:
    assert caption_in(answer) is None
