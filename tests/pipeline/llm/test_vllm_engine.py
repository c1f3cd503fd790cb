"""Real vLLM on a random model: the rolling window, bad requests, a stage from graphs to tables."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.base.errors import UserError
from pipeline.base.params import LlmParams, load_params
from pipeline.base.schemas import INTERPRETATIONS
from pipeline.base.tables import read_table
from pipeline.llm.types import Request, Sampling
from pipeline.llm.vllm_engine import VllmEngine
from stages import interpret
from tests.language_toy import Toy, WordTokenizer
from tests.pipeline.llm.tiny_llama import TEMPLATE, make_tiny_llama

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PARAMS = load_params(ROOT / "params.yaml")
SPEED = {
    "enforce_eager": True,
    "block_size": 32,
    "kv_cache_memory_bytes": 64_000_000,
    "max_num_seqs": 4,
    "max_num_batched_tokens": 512,
}
GREEDY, WARM = Sampling.of(0, 1, 0), Sampling.of(0.8, 1.0, 0)


def _llm(model: Path, **arguments: object) -> LlmParams:
    return PARAMS.llm.model_copy(
        update={
            "model": str(model),
            "engine_args": {"dtype": "float32", "max_model_len": 512, **arguments},
            "output": "json",  # which leaves requests without a schema alone
        }
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llama(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def engine(model: Path) -> Iterator[VllmEngine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # starts in seconds; decodes slower
        engine = VllmEngine(_llm(model), SPEED, 0, Path("."))
        yield engine
        engine.close()


def _request(key: str, content: str, sampling: Sampling = GREEDY, max_tokens: int = 12) -> Request:
    seed = None if sampling is GREEDY else int(key.strip("abcdefghijklmnopqrstuvwxyz") or 0)
    return Request(key, [{"role": "user", "content": content}], sampling, max_tokens, seed)


def test_bad_requests_fail_alone_and_the_others_all_come_back(engine: VllmEngine) -> None:
    requests = [_request(str(i), f"scene {i % 5}", max_tokens=1 + i % 12) for i in range(40)]
    requests.insert(7, _request("long", "car " * 600))
    requests.insert(20, _request("none", "x", max_tokens=0))
    pulled: list[str] = []

    def source() -> Iterator[Request]:
        for request in requests:
            pulled.append(request.key)
            yield request

    results, most_ahead = {}, 0
    for result in engine.generate(source()):
        assert result.key not in results
        results[result.key] = result
        most_ahead = max(most_ahead, len(pulled) - len(results))
    assert set(results) == {request.key for request in requests}
    assert most_ahead <= 2 * SPEED["max_num_seqs"]
    assert results["long"].permanent and "tokens and the model's context 512" in (results["long"].error or "")
    assert results["none"].text is None and results["none"].error
    good = [result for key, result in results.items() if key.isdigit()]
    assert all(result.error is None and result.text is not None for result in good)
    assert all(result.finish_reason in ("stop", "length") and result.output_tokens for result in good)
    assert all((result.output_tokens or 0) <= 1 + int(result.key) % 12 for result in good)


def test_a_request_has_its_own_seed_whatever_else_runs(engine: VllmEngine) -> None:
    def texts(*keys: str) -> dict[str, str | None]:
        requests = [_request(key, "scene", WARM) for key in keys]
        return {result.key: result.text for result in engine.generate(requests)}

    together = texts("a1", "a2", "a3", "a4", "a5", "a6")
    assert texts("a4") == {"a4": together["a4"]}
    assert len(set(together.values())) > 1


def test_an_answer_under_a_schema_is_json_of_it(engine: VllmEngine) -> None:
    schema = {
        "type": "object",
        "properties": {"caption": {"type": "string", "minLength": 1, "maxLength": 9}},
        "required": ["caption"],
        "additionalProperties": False,
    }
    under = [
        replace(_request(str(i), f"scene {i}", WARM, max_tokens=200), json_schema=schema) for i in range(8)
    ]
    free = _request("free", "scene", max_tokens=3)
    results = {result.key: result for result in engine.generate([*under, free])}
    for request in under:
        assert results[request.key].finish_reason == "stop"
        assert 1 <= len(json.loads(results[request.key].text or "", strict=False)["caption"]) <= 9
    assert results["free"].output_tokens == 3


def test_an_adapter_changes_what_is_said(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.numpy import save_file

    config = json.loads((model / "config.json").read_text())
    width, rng = config["hidden_size"], np.random.default_rng(0)
    names = [
        f"base_model.model.model.layers.{i}.self_attn.o_proj" for i in range(config["num_hidden_layers"])
    ]
    shapes = {"lora_A": (8, width), "lora_B": (width, 8)}
    tensors = {
        f"{name}.{part}.weight": rng.normal(size=shape).astype(np.float32)
        for name in names
        for part, shape in shapes.items()
    }
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    adapter = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["o_proj"]}
    (tmp_path / "adapter_config.json").write_text(json.dumps(adapter))
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    requests = [_request(str(i), f"scene {i}") for i in range(4)]
    said, threads = [], torch.get_num_threads()
    for arguments in ({}, {"lora": str(tmp_path)}):
        engine = VllmEngine(_llm(model, **arguments), SPEED, 0, Path("."))
        said.append({result.key: result.text for result in engine.generate(requests)})
        engine.close()
        torch.set_num_threads(threads + 1)
        assert torch.get_num_threads() == threads + 1, "vLLM still keeps it from others"
        torch.set_num_threads(threads)
    assert all(said[0][key] != said[1][key] for key in said[0])


def test_a_stage_runs_on_it_from_graphs_to_tables(
    engine: VllmEngine, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.vision.vlm.load_tokenizer", lambda *_: WordTokenizer())
    monkeypatch.setattr(engine, "close", lambda: None)
    toy = Toy(tmp_path, interpret__max_tokens=16, llm__tries=1, llm__model=str(model))  # it may say nothing
    prompt = toy.paths.root / "prompts/interpret.txt"
    prompt.write_text("## user\n{graph}\n")
    interpret.run(toy.params, toy.paths, engine=lambda: engine)
    rows = read_table(toy.paths.interpretations("toy"), INTERPRETATIONS).to_pylist()
    assert len(rows) == 8 and all(row["prompt_tokens"] and row["row_key"] for row in rows)
    before = toy.paths.interpretations("toy").read_bytes()

    def refuse() -> VllmEngine:
        raise AssertionError("the engine is opened again")

    interpret.run(toy.params, toy.paths, engine=refuse)
    assert toy.paths.interpretations("toy").read_bytes() == before


@pytest.mark.timeout(120)
def test_a_template_that_hangs_where_vllm_warms_up_is_not_rendered_there(
    engine: VllmEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    template = "{% if messages[-1].content == 'warmup' %}" + hangs + "{% endif %}" + TEMPLATE
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    hostile = VllmEngine(_llm(make_tiny_llama(tmp_path, template)), SPEED, 0, Path("."))
    requests = [_request(str(i), f"scene {i}") for i in range(3)]
    said = [{result.key: result.text for result in each.generate(requests)} for each in (hostile, engine)]
    hostile.close()
    assert said[0] == said[1]


def test_without_arguments_it_runs_with_those_for_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    engine = VllmEngine(PARAMS.llm, {"kv_cache_memory_bytes": 2_000_000}, 0, ROOT)
    effective = engine.effective()
    results = {
        r.key: r for r in engine.generate([_request("short", "scene"), _request("long", "car " * 300)])
    }
    engine.close()
    assert effective["device"] == "cpu" and effective["dtype"] == "float32"
    assert (effective["block_size"], effective["max_num_seqs"]) == (32, 256)
    assert effective["enforce_eager"] and not effective["enable_chunked_prefill"]
    context = effective["max_model_len"]
    assert 200 <= context <= 256  # at 7,680 bytes a token; the model has 512
    assert results["short"].text and not results["long"].permanent  # more memory would do
    assert f"the KV cache holds {context}" in (results["long"].error or "")


def test_an_unknown_engine_argument_is_said_before_the_model_is_loaded(model: Path) -> None:
    with pytest.raises(UserError, match=r"no such engine argument.*max_model_length"):
        VllmEngine(_llm(model), {"max_model_length": 5}, 0, Path("."))
