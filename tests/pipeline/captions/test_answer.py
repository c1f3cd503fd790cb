"""Prompts that ask for JSON, and the caption in an answer."""

import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.captions.answer import KEY, SCHEMA, Reading, asking_for_json, caption_of
from pipeline.graph.scene_graph import POSITIONS, Group, GroupGraph
from pipeline.graph.verbalise import verbalise
from pipeline.llm.thoughts import thinks_aloud
from tests.pipeline.captions.wrapped_answers import BOATS, KEPT, NOTHING, THOUGHTS, WRAPPED

TALK = [
    {"role": "system", "content": "Describe."},
    {"role": "user", "content": "objects:"},
    {"role": "assistant", "content": 'A "big" pier.'},
    {"role": "user", "content": "objects:\n- two boats"},
]
LAYERS = [  # each of them around a text, by an answer of its own
    answer.replace(BOATS, "{}")
    for _, answer, caption in WRAPPED
    if caption == BOATS and answer.count(BOATS) == 1
]
WORDS = st.sampled_from(
    [*"-:;,.!3", "note", "caption", "description", "think", "text", "answer", "output", "boat", "harbor",
    "white", "here", "is", "a", "the", "with", "sure", "okay", "final", "I", "this", "sign", "'STOP'",
    '"GO"', "(red)", "large_vehicle", "sun's"]
)  # fmt: skip
PIECES = st.sampled_from(
    [*"<>{}[]\"'`*_#-:.!\n ", "<think>", "</think>", "<|channel|>", "final", "<|message|>", "```", "json",
    "Caption", "Here is", "the", "caption", "Note", "Sure", "I've kept", "Let me know", '{"caption": ', "“",
    "”", "boats", "1. "]
)  # fmt: skip
NAMES = [
    "boat",
    "dock",
    "note",
    "caption board",
    "text",
    "think tank",
    "answer",
    "small-vehicle",
    "json sign",
]
HOSTILE = [
    *"<{\"'“`*_\n \0", "</", "<a", "<think", "</a:", "<think>", "</think>", "◁", "[think", "<|channel|>",
    "<|channel|>analysis", '{"', '{"a":', '{"caption": "', '" ', "```", "```\n", "**", "* ", "__", "# ",
    "> ", "- ", "-\n", "1. ", " \n", "a ", "a\n", "a: ", "the ", "here is ", "here is the caption ",
    "Here is a b c: ", "based on ", "caption", "caption ", "final ", "final caption: ", "Caption:\n",
    "sure! ", "sure, ", ". ", "note: ", ".\n", "(note ", "i have ", "I've kept it. ", "let me know\n",
    "\\boxed{", "\\boxed{}", "<br>", "<b>", "描述", "\nuser:", "a.\n### input:",
    "<answer>", "</answer>", "<|a|>", "<|", "<s>", "\u2028",
]  # fmt: skip


def test_instructions_and_examples_ask_for_json_and_the_row_stays() -> None:
    asked = asking_for_json(TALK)
    again = asking_for_json([dict(turn) for turn in TALK])  # as of another row: its texts are held once
    assert all(one["content"] is other["content"] for one, other in zip(asked, again, strict=True))
    assert asked[0]["content"].startswith("Describe.\n") and "JSON" in asked[0]["content"]
    assert json.loads(asked[2]["content"]) == {KEY: 'A "big" pier.'}
    assert asked[1] == TALK[1] and asked[3] == TALK[3] and TALK[0]["content"] == "Describe."
    assert list(SCHEMA["properties"]) == [KEY] == SCHEMA["required"]


def test_thoughts_of_examples_are_no_part_of_their_json() -> None:
    answer = {"role": "assistant", "content": "<think>\nadd: one pier\n</think>\nA bay with one pier."}
    asked = asking_for_json([TALK[0], TALK[1], answer, TALK[3]])
    assert json.loads(asked[2]["content"]) == {KEY: "A bay with one pier."}


@pytest.mark.parametrize(
    ("answer", "caption"), [case[1:] for case in WRAPPED], ids=[case[0] for case in WRAPPED]
)
def test_a_caption_is_found_in_what_models_put_around_it(answer: str, caption: str) -> None:
    assert caption_of(answer) == Reading(caption)


@pytest.mark.parametrize("caption", KEPT)
def test_a_plain_caption_stays_as_it_is(caption: str) -> None:
    assert caption_of(caption) == Reading(caption)
    assert caption_of(f"<think>\nCaption: no\n</think>\n{caption}") == Reading(caption)


@pytest.mark.parametrize("answer", THOUGHTS)
def test_thoughts_without_an_end_are_no_caption(answer: str) -> None:
    assert caption_of(answer) == Reading(None, thinking=True)


@pytest.mark.parametrize("answer", NOTHING)
def test_an_answer_may_hold_no_caption(answer: str) -> None:
    assert caption_of(answer).text is None and caption_of(answer, in_json=True).text is None


def test_what_a_prompt_asks_for_in_json_must_be_in_json() -> None:
    assert caption_of(BOATS, in_json=True) == Reading(None)
    for answer in (
        '{"caption": "Two boats."}',
        'Sure!\n```json\n{"caption": "Two\nboats."}\n```',
        '{"caption": "Two \\ud800boats."}',
    ):
        assert caption_of(answer, in_json=True) == Reading("Two boats.")
    for answer in ('["a"]', '{"caption": ' + "9" * 5000 + "}", "[" * 99_999, '{"a": ' * 50_000):
        assert caption_of(answer, in_json=True) == Reading(None)


def test_thoughts_that_nothing_marks_are_known_by_how_they_begin() -> None:
    for thought in (
        "Okay, so the user wants a caption",
        "Let me see",
        "Alright, let's list",
        "We need to write",
        "The user asks",
    ):
        assert thinks_aloud(thought)
    for caption in KEPT:
        assert not thinks_aloud(caption)


@st.composite
def graphs(draw: st.DrawFn) -> GroupGraph:
    attributes = st.lists(st.sampled_from(["white", "final", "plain", "dark-green"]), max_size=2, unique=True)
    cells = st.sampled_from([None, *(cell for row in POSITIONS for cell in row)])
    groups = tuple(
        Group(draw(st.sampled_from(["", "one", "two", "many"])), name, tuple(draw(attributes)), draw(cells))
        for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    )
    return GroupGraph(draw(st.sampled_from([None, "harbor", "think", "note", "description"])), groups, ())


@given(graphs(), st.lists(st.sampled_from(LAYERS), max_size=1))
def test_the_caption_of_a_graph_is_found_unchanged(graph: GroupGraph, layers: list[str]) -> None:
    caption = answer = verbalise(graph)
    for layer in layers:
        inside = json.dumps(answer)[1:-1] if '"caption": "{}"' in layer else answer
        answer = layer.replace("{}", inside)
    assert caption_of(answer) == Reading(caption)


@settings(max_examples=500)
@example(["</think>", "<think>", "</think>"], "")
@given(st.lists(WORDS | PIECES, max_size=40), st.sampled_from(["", " "]))
def test_a_caption_that_was_found_is_found_again(pieces: list[str], between: str) -> None:
    caption = caption_of(between.join(pieces)).text
    if caption is not None:
        assert caption == " ".join(caption.split())
        assert caption_of(caption) == Reading(caption)


@pytest.mark.parametrize("piece", HOSTILE)
def test_any_answer_is_read_in_time(piece: str) -> None:
    many = (piece * 100_000)[:100_000]
    for answer in (many, many + "x", "x. " + many):
        for in_json in (False, True):
            since = time.process_time()
            caption_of(answer, in_json)
            assert time.process_time() - since < 3
