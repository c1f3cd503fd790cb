"""Prompts that ask for JSON, and the caption in an answer."""

import json
import time

import pytest

from pipeline.captions.answer import KEY, SCHEMA, asking_for_json, caption_in, without_thoughts

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


@pytest.mark.parametrize(
    "answer",
    ["", "Two boats.", '{"caption": 3}', '["a"]', '{"caption": "Two bo', "{}", "7" * 5000, "[" * 100_000],
)
def test_an_answer_without_one_has_none(answer: str) -> None:
    assert caption_in(answer) is None


@pytest.mark.parametrize(
    "thoughts",
    [
        "<think>One boat? Two.</think>",
        "One boat? Two.\n</think>",  # they begin in the prompt
        "\n<thinking>\nOne?\n</thinking>",
        "<Think>a</think><think>b</think >",
        "<reasoning>One</reasoning>",
        "<seed:think>One</seed:think>",
        "[THINK]One[/THINK]",
        "\u25c1think\u25b7One\u25c1/think\u25b7",
        "<|channel|>analysis<|message|>One<|end|><|start|>assistant<|channel|>final<|message|>",
    ],
)
def test_thoughts_are_cut_wherever_they_begin(thoughts: str) -> None:
    assert without_thoughts(thoughts + "\n\nTwo boats.") == ("\n\nTwo boats.", False)


@pytest.mark.parametrize(
    ("answer", "caption", "endless"),
    [
        ("Two boats.", "Two boats.", False),
        ("I think two boats < three.", "I think two boats < three.", False),
        ("<think>Two boats", "", True),
        ("<think>a</think><think>b", "", True),
        ("Two boats. <think>Or three", "Two boats. ", True),
        ("", "", False),
    ],
)
def test_what_is_left_of_an_answer(answer: str, caption: str, endless: bool) -> None:
    assert without_thoughts(answer) == (caption, endless)


def test_any_answer_is_read_in_time() -> None:
    for piece in ("<", "</", "<a", "<think", "</a:", "\u25c1", "[think", "<|channel|>"):
        since = time.process_time()
        without_thoughts((piece * 100_000)[:100_000])
        assert time.process_time() - since < 1
