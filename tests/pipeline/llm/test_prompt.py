import os
from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.captions.stages import CAPTION, STAGES
from pipeline.llm.prompt import PromptTemplate, load_prompt

ROOT = Path(__file__).parents[3]
GOOD = "## system\nBe brief.\n## user\na\n## assistant\nb\n## user\n{graph}\nModification: {modification}\n"


def _write(folder: Path, text: str) -> Path:
    path = folder / "prompt.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_turns_become_messages(tmp_path: Path) -> None:
    template = load_prompt(_write(tmp_path, GOOD), ("graph", "modification"))
    assert template.render(graph="G", modification="M") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "G\nModification: M"},
    ]


def test_braces_in_a_value_are_not_filled_in(tmp_path: Path) -> None:
    template = load_prompt(_write(tmp_path, GOOD), ("graph", "modification"))
    rendered = template.render(graph="{modification} {x}", modification="{graph}")
    assert rendered[-1]["content"] == "{modification} {x}\nModification: {graph}"


def test_the_hash_is_of_the_text(tmp_path: Path) -> None:
    first = load_prompt(_write(tmp_path, GOOD), ("graph", "modification")).hash
    second = load_prompt(_write(tmp_path, GOOD.replace("brief", "short")), ("graph", "modification")).hash
    assert len(first) == 64 and first != second


@pytest.mark.parametrize(
    ("name", "stage", "asked"),
    [
        ("interpret", "interpret", "G"),
        ("caption", "caption", "G\nModification: M"),
        ("caption_repair", "caption", "G\nModification: M"),
    ],
)
def test_the_shipped_prompts_ask_with_the_row_alone(name: str, stage: str, asked: str) -> None:
    template = load_prompt(ROOT / f"prompts/{name}.txt", STAGES[stage].placeholders)
    assert template.render(graph="G", modification="M")[-1] == {"role": "user", "content": asked}


def test_one_of_several_placeholders_is_enough(tmp_path: Path) -> None:
    path = _write(tmp_path, GOOD.replace("{graph}", "{graph_json}"))
    assert load_prompt(path, CAPTION.placeholders).placeholders == {"graph_json", "modification"}
    with pytest.raises(UserError, match=r"missing.*{graph} or {graph_json}"):
        load_prompt(_write(tmp_path, GOOD.replace("{graph}", "")), CAPTION.placeholders)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("## user\n{graph}", ["placeholder is missing", "modification"]),
        (GOOD.replace("Modification:", "{colour}"), ["placeholder is unknown", "{colour}"]),
        (GOOD.replace("## system", "## robot"), ["role", "robot"]),
        ("hello\n" + GOOD, ["before the first turn", "hello"]),
        (GOOD + "## assistant\nx", ["wrong order"]),
        (GOOD.replace("Be brief.", ""), ["a turn is empty", "system"]),
        ("", ["wrong order", "no turn"]),
    ],
)
def test_a_prompt_that_cannot_be_used_is_refused_in_one_line(
    text: str, words: list[str], tmp_path: Path
) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load_prompt(path, ("graph", "modification"))
    line = str(caught.value)
    assert all(word in line for word in [*words, str(path)]) and "\n" not in line


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such prompt file"):
        load_prompt(tmp_path / "none.txt", ("graph",))
    path = tmp_path / "prompt.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="UTF-8"):
        load_prompt(path, ("graph",))


def test_a_pipe_in_place_of_the_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(UserError, match="no such prompt file"):
        load_prompt(tmp_path / "pipe.txt", ("graph",))


def test_the_turns_that_all_rows_share_are_held_once() -> None:
    template = PromptTemplate((("system", "Describe."), ("user", "{graph}")), "hash")
    one, other = template.render(graph="a"), template.render(graph="b")
    assert one[0] is other[0] and one[0] == {"role": "system", "content": "Describe."}
    assert [one[1]["content"], other[1]["content"]] == ["a", "b"]
