"""Attempts: their numbers in row keys, which must not change, and how people see them."""

from pathlib import Path

import pytest

from pipeline.base.params import load_params
from pipeline.base.paths import Paths
from pipeline.captions.row_cache import row_key
from pipeline.captions.rows import Row
from pipeline.captions.settings import FIRST, Attempt, read_settings
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


def test_attempts_and_samples_follow_the_parameters(tmp_path: Path) -> None:
    params = load_params(ROOT / "params.yaml")
    params = params.model_copy(
        update={
            "llm": params.llm.model_copy(update={"model": str(ROOT / "models/captioner"), "repairs": 2}),
            "caption": params.caption.model_copy(
                update={"samples": 3, "prompt": ROOT / "prompts/caption.txt"}
            ),
            "interpret": params.interpret.model_copy(update={"prompt": ROOT / "prompts/interpret.txt"}),
        }
    )
    caption = read_settings(CAPTION, params, Paths(tmp_path))
    assert caption.repairs() == [Attempt("repair", 1), Attempt("repair", 2)]
    assert list(caption.samples()) == [Attempt("sample", 2), Attempt("sample", 3)]
    assert list(read_settings(INTERPRET, params, Paths(tmp_path)).samples()) == []
    messages = caption.messages(GroupGraph(None, (Group("2", "car"),), ()), modification="a modification")
    for attempt, temperature in (
        (FIRST, params.llm.temperature),
        (Attempt("repair", 1), params.llm.repair_temperature),
        (Attempt("sample", 2), params.caption.sample_temperature),
    ):
        sampling = caption.sampling(attempt)
        assert sampling.temperature == temperature
        key = row_key(caption.identity, messages, sampling, attempt=attempt.key_number)
        row = Row("toy", "q1", messages, None, Checker(vocabulary_of([])), False, False)
        assert caption.row_key(row, attempt) == key
