"""Real vLLM on a random model: keys of llm.sampling, the model's own values, stops, arguments of texts."""

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.llm.types import Result, Sampling
from pipeline.llm.vllm_engine import VllmEngine
from tests.pipeline.llm.test_vllm_engine import SPEED, _llm, _request
from tests.pipeline.llm.tiny_llama import TEMPLATE, make_tiny_llama

pytestmark = pytest.mark.slow

ROWS, TOKENS = 6, 24
SCHEMA = {
    "type": "object",
    "properties": {"caption": {"type": "string", "minLength": 1, "maxLength": 9}},
    "required": ["caption"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llama(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def engine(model: Path) -> Iterator[VllmEngine]:
    engine = VllmEngine(_llm(model), SPEED, 0, Path("."))
    yield engine
    engine.close()


def _results(engine: VllmEngine, temperature: float = 0.0, **further: Any) -> list[Result]:
    sampling = Sampling.of(temperature, 1.0, 0, further)
    requests = [_request(str(i), f"scene {i}", sampling, TOKENS) for i in range(ROWS)]
    if temperature == 0:
        requests = [replace(request, seed=None) for request in requests]
    results = {result.key: result for result in engine.generate(requests)}
    assert all(result.error is None for result in results.values()), results
    return [results[request.key] for request in requests]


def _texts(engine: VllmEngine, temperature: float = 0.0, **further: Any) -> list[str]:
    return [result.text or "" for result in _results(engine, temperature, **further)]


def _token(engine: VllmEngine, texts: list[str]) -> tuple[str, int]:
    """A capital letter of the texts, which is one token wherever it stands, and that token."""
    letter = next(c for text in texts for c in text if c.isascii() and c.isupper())
    (token,) = engine._llm.get_tokenizer()(letter)["input_ids"]
    return letter, token


def _whole(texts: Iterable[str]) -> list[str]:
    """Texts without the halves of characters at their end: vLLM waits with those for the next token."""
    return [text.rstrip("\ufffd") for text in texts]


@pytest.mark.parametrize("further", [{"top_k": 1}, {"min_p": 1.0}], ids=str)
def test_what_bounds_the_draw_to_one_token_is_greedy(engine: VllmEngine, further: dict[str, Any]) -> None:
    assert _texts(engine, 1.5, **further) == _texts(engine) != _texts(engine, 1.5)


@pytest.mark.parametrize("name", ["repetition_penalty", "presence_penalty", "frequency_penalty"])
def test_a_penalty_changes_greedy_texts(engine: VllmEngine, name: str) -> None:
    assert _texts(engine, **{name: 2.0}) != _texts(engine)


def test_a_text_ends_before_a_stop(engine: VllmEngine) -> None:
    free = _texts(engine)
    stop = next(c for c in free[0][3:] if c.isascii() and c.isalpha())
    results = _results(engine, stop=["never said", stop])
    assert [result.text for result in results] == [text.partition(stop)[0] for text in free]
    assert results[0].finish_reason == "stop" and len(results[0].text or "") < len(free[0])


def test_a_text_ends_before_a_token_that_stops(engine: VllmEngine) -> None:
    free = _texts(engine)
    letter, token = _token(engine, free)
    said = _texts(engine, stop_token_ids=[token])
    assert _whole(said) == _whole(text.partition(letter)[0] for text in free) != _whole(free)


def test_a_bad_word_is_not_said(engine: VllmEngine) -> None:
    letter, _ = _token(engine, _texts(engine))
    assert not any(letter in text for text in _texts(engine, bad_words=[letter]))


def test_of_a_models_own_file_only_its_end_tokens_count(
    engine: VllmEngine, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(model, tmp_path / "model")
    file = tmp_path / "model/generation_config.json"
    free, warm = _texts(engine), _texts(engine, 1.5)
    letter, end = _token(engine, free)
    config = json.loads(file.read_text())
    drawn = {"do_sample": True, "top_k": 1, "repetition_penalty": 2.0, "max_new_tokens": 3}
    said = []
    for change in (drawn, {"eos_token_id": [config["eos_token_id"], end]}):
        file.write_text(json.dumps(config | change))
        other = VllmEngine(_llm(tmp_path / "model"), SPEED, 0, Path("."))
        said.append((_texts(other), _texts(other, 1.5)))
        other.close()
    assert said[0] == (free, warm)
    assert _whole(said[1][0]) == _whole(text.partition(letter)[0] for text in free) != _whole(free)


def _spells(folder: Path, text: str) -> Path:
    """A base model of which every character says the next one of a text, round and round."""
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    make_tiny_llama(folder, chat_template=None)
    tokens = AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
    assert len(tokens) == len(set(tokens)) == len(text)
    model = LlamaForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        seen = model.model.embed_tokens.weight
        seen.normal_()
        model.lm_head.weight.zero_()
        for token, following in zip(tokens, tokens[1:] + tokens[:1], strict=True):
            model.lm_head.weight[following] = seen[token]
    model.save_pretrained(folder)
    return folder


def test_a_base_model_stops_where_the_examples_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = VllmEngine(_llm(_spells(tmp_path, ":ab\ncd")), SPEED, 0, Path("."))  # a prompt ends in a colon

    def said(*turns: str) -> tuple[str | None, str | None]:
        roles = ["user", "assistant"] * len(turns)
        messages = [{"role": role, "content": turn} for role, turn in zip(roles, turns, strict=False)]
        request = replace(_request("0", "", Sampling.of(0, 1, 0), TOKENS), messages=messages, seed=None)
        (result,) = engine.generate([request])
        return result.text, result.finish_reason

    assert said("a graph", "a line", "another") == ("ab", "stop")
    assert said("a graph", "a line\nand one", "another") == ("ab\ncd:" * 4, "length")
    assert said("a graph") == ("ab\ncd:" * 4, "length")
    engine.close()


PROCESSOR = """
import torch
from vllm.v1.sample.logits_processor import LogitsProcessor

class OnlyOne(LogitsProcessor):
    def __init__(self, config, device, pinned):
        pass
    def is_argmax_invariant(self):
        return False
    def update_state(self, update):
        pass
    def apply(self, logits):
        only = torch.full_like(logits, float("-inf"))
        only[:, 70] = 0
        return only
"""
ARGUMENTS: list[dict[str, Any]] = [
    {"chat_template": "{{ messages[0]['content'] }}"},
    {"hf_overrides": {"rms_norm_eps": 0.5}},
    {"load_format": "dummy"},
    {"use_fp64_gumbel": True},
    {"logits_processors": ["only_one:OnlyOne"]},
    {"tokenizer": "another"},
    {"max_model_len": 32},
    {"structured_outputs_config": {"disable_any_whitespace": False}},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What arguments may name: a module, and a model with another chat template."""
    folder = tmp_path_factory.mktemp("named")
    (folder / "only_one.py").write_text(PROCESSOR)
    make_tiny_llama(folder / "other", TEMPLATE.replace("'role'", "'content'"))
    return folder


def _said(engine: VllmEngine) -> list[str]:
    """Greedy, sampled, and under a schema."""
    under = Sampling.of(1.0, 1.0, 0)
    requests = [replace(_request(str(i), "scene", under, 99), json_schema=SCHEMA) for i in range(2)]
    results = {result.key: result for result in engine.generate(requests)}
    answers = [str(results[request.key].text) for request in requests]
    return [*_texts(engine), *_texts(engine, 1.0), *answers]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=lambda given: next(iter(given)))
def test_an_argument_of_texts_has_an_effect(
    arguments: dict[str, Any],
    engine: VllmEngine,
    model: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(folder)
    if "tokenizer" in arguments:
        arguments = {"tokenizer": str(folder / "other")}
    before, other = _said(engine), VllmEngine(_llm(model, **arguments), SPEED, 0, Path("."))
    try:
        said = _said(other)
    finally:
        other.close()
    assert said != before
    if "max_model_len" in arguments:
        assert all(len(text) <= len(free) for text, free in zip(said[:ROWS], before[:ROWS], strict=True))


def test_variables_reach_the_template(engine: VllmEngine, model: Path) -> None:
    template = TEMPLATE + "{% if enable_thinking is defined %} no thoughts{% endif %}"
    said = []
    for variables in ({}, {"enable_thinking": False}):
        llm = _llm(model, chat_template=template).model_copy(update={"chat_template_kwargs": variables})
        other = VllmEngine(llm, SPEED, 0, Path("."))
        said.append(_texts(other))
        other.close()
    assert said[0] == _texts(engine) != said[1]
