"""The marks of thoughts: in answers, and at the end of prompts."""

import pytest

from pipeline.llm.thoughts import ends_thoughts, opened_thoughts, without_thoughts


@pytest.mark.parametrize(
    "thoughts",
    [
        "<think>One boat? Two.</think>",
        "One boat? Two.\n</think>",  # they begin in the prompt
        "\n<thinking>\nOne?\n</thinking>",
        "<Think>a</think><think>b</think >",
        "<reasoning>One</reasoning>",
        "<seed:think>One</seed:think>",
        "<ifm|think_fast>One</ifm|think_fast>",
        "[THINK]One[/THINK]",
        "\u25c1think\u25b7One\u25c1/think\u25b7",
        "<|START_THINKING|>One<|END_THINKING|>",
        "<|open|>think<|sep|>One<|close|>think<|sep|>",
        "<|plamo:begin_think:plamo|>One<|plamo:end_think:plamo|>",
        "<|channel|>analysis<|message|>One<|end|><|start|>assistant<|channel|>final<|message|>",
        "<|channel|>commentary to=a<|message|>One<|channel|>final <|constrain|>json<|message|>",
        "analysisOneassistantfinal",
        "<|channel>thought\nOne<channel|>",
        "Here's my thought process: One. Here is my response:",
    ],
)
def test_thoughts_are_cut_wherever_they_begin(thoughts: str) -> None:
    assert without_thoughts(thoughts + "\n\nTwo boats.") == ("\n\nTwo boats.", False)
    assert ends_thoughts(thoughts)


@pytest.mark.parametrize(
    ("answer", "caption", "endless"),
    [
        ("Two boats.", "Two boats.", False),
        ("I think two boats < three.", "I think two boats < three.", False),
        ("analysis of a harbor", "analysis of a harbor", False),
        ("<think>Two boats", "", True),
        ("<think>a</think><think>b", "", True),
        ("Two boats. <think>Or three", "Two boats. ", True),
        ("Two boats.<think>Or three</think>\n", "Two boats.", False),
        ("Two</think>", "", False),
        ("", "", False),
    ],
)
def test_what_is_left_of_an_answer(answer: str, caption: str, endless: bool) -> None:
    assert without_thoughts(answer) == (caption, endless)


@pytest.mark.parametrize(
    ("prompt", "opened"),
    [
        ("<|im_start|>assistant\n", ""),
        ("<|im_start|>assistant\n<think>\n", "<think>\n"),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", ""),
        ("<think>A turn before.</think><|assistant|>[THINK]", "[THINK]"),
        ("<|start|>assistant<|channel|>analysis<|message|>", "<|channel|>analysis<|message|>"),
        ("user: <think> is a tag\nassistant:", ""),
    ],
)
def test_a_prompt_may_open_the_thoughts(prompt: str, opened: str) -> None:
    assert opened_thoughts(prompt) == opened
