"""Attempts: their numbers in row keys, which must not change, and how people see them."""

from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.base.params import load_params
from pipeline.base.paths import Paths
from pipeline.captions.row_cache import row_key
from pipeline.captions.rows import Row
from pipeline.captions.settings import FIRST, Attempt, Settings, read_settings
from pipeline.captions.stages import CAPTION, INTERPRET
from pipeline.faithfulness.check import Checker, vocabulary_of
from pipeline.graph.scene_graph import Group, GroupGraph

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("attempt", "number", "shown"),
    [
        (FIRST, 0, "first"),
        (Attempt("repair", 1), 1, "repair 1"),
        (Attempt("repair", 2), 2, "repair 2"),
        (Attempt("sample", 2), -1, "sample 2"),
        (Attempt("sample", 3), -2, "sample 3"),
    ],
)
def test_an_attempt_has_a_number_in_keys_and_a_name(attempt: Attempt, number: int, shown: str) -> None:
    assert (attempt.key_number, str(attempt)) == (number, shown)


def _caption(tmp_path: Path, repair_prompt: str) -> Settings:
    params = load_params(ROOT / "params.yaml")
    llm = params.llm.model_copy(update={"model": str(ROOT / "models/captioner"), "repairs": 2})
    prompts = {"prompt": ROOT / "prompts/caption.txt", "repair_prompt": ROOT / repair_prompt}
    caption = params.caption.model_copy(update={"samples": 3, **prompts})
    params = params.model_copy(update={"llm": llm, "caption": caption})
    return read_settings(CAPTION, params, Paths(tmp_path))


def _row(settings: Settings) -> Row:
    graph = GroupGraph(None, (Group("2", "car"),), ())
    messages = settings.messages(graph, modification="a modification")
    return Row("toy", "q1", messages, None, Checker(vocabulary_of([])), False, False)


def test_attempts_and_samples_follow_the_parameters(tmp_path: Path) -> None:
    caption = _caption(tmp_path, "prompts/caption.txt")
    params = caption.params
    assert caption.repairs() == [Attempt("repair", 1), Attempt("repair", 2)]
    assert list(caption.samples()) == [Attempt("sample", 2), Attempt("sample", 3)]
    interpret = params.interpret.model_copy(update={"prompt": ROOT / "prompts/interpret.txt"})
    of_interpret = params.model_copy(update={"interpret": interpret})
    assert list(read_settings(INTERPRET, of_interpret, Paths(tmp_path)).samples()) == []
    row = _row(caption)
    for attempt, temperature in (
        (FIRST, params.llm.temperature),
        (Attempt("repair", 1), params.llm.repair_temperature),
        (Attempt("sample", 2), params.caption.sample_temperature),
    ):
        sampling = caption.sampling(attempt)
        assert sampling.temperature == temperature
        key = row_key(caption.identity, row.messages, sampling, attempt=attempt.key_number)
        assert caption.row_key(row, attempt) == key


def test_a_repair_has_the_turns_of_its_own_prompt_before_the_row(tmp_path: Path) -> None:
    caption = _caption(tmp_path, "prompts/caption_repair.txt")
    row = _row(caption)
    for attempt in (FIRST, Attempt("sample", 2)):
        assert caption.request("0" * 64, row, attempt).messages == row.messages
        assert caption.prompt_hash(row, attempt) == caption.template.hash
    repair = caption.request("0" * 64, row, Attempt("repair", 1)).messages
    assert repair[-1] == row.messages[-1]
    assert repair[0] != row.messages[0] and "<think>" in repair[2]["content"]
    assert caption.repair is not None
    assert caption.prompt_hash(row, Attempt("repair", 1)) == caption.repair.hash
    assert caption.row_key(row, Attempt("repair", 1)) != _caption(tmp_path, "prompts/caption.txt").row_key(
        row, Attempt("repair", 1)
    )


def test_a_repair_prompt_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such prompt file"):
        _caption(tmp_path, "prompts/nowhere.txt")
