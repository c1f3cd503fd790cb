"""What vLLM gets on which device: everywhere what is named, on CPUs also what was measured there."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.llm import vllm_engine
from pipeline.llm.identity import model_identity
from pipeline.llm.vllm_arguments import CPU_DEFAULTS, VllmArguments, vllm_arguments
from pipeline.llm.vllm_engine import VllmEngine
from pipeline.params import load_params

ROOT = Path(__file__).parents[3]
PARAMS = load_params(ROOT / "params.yaml")


def _arguments(speed: dict[str, Any] | None = None, **named: Any) -> VllmArguments:
    llm = PARAMS.llm.model_copy(update={"engine_args": named})
    return vllm_arguments(llm, speed or {}, 0, ROOT)


class Asked(Exception):
    """vLLM was asked to load a model with these arguments."""


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(**arguments: Any) -> None:
        raise Asked(arguments)

    monkeypatch.setattr("vllm.LLM", load)


@pytest.mark.parametrize("on_cpu", [True, False])
def test_the_engine_asks_vllm_for_the_device(
    loading: None, monkeypatch: pytest.MonkeyPatch, on_cpu: bool
) -> None:
    from vllm.platforms import current_platform

    monkeypatch.setattr(type(current_platform), "is_cpu", lambda self: on_cpu)
    monkeypatch.setattr(vllm_engine, "one_line", lambda error: error)
    with pytest.raises(Exception) as caught:
        VllmEngine(PARAMS.llm, {"max_num_seqs": 8}, 0, ROOT)
    assert isinstance(caught.value.__cause__, Asked)
    (given,) = caught.value.__cause__.args
    assert given["max_num_seqs"] == 8 and given["model"].endswith("models/captioner")
    defaults = {name: value for name, value in CPU_DEFAULTS.items() if name != "max_num_seqs"}
    found = {name: given[name] for name in defaults if name in given}
    assert found == (defaults if on_cpu else {})


def test_what_is_named_wins_on_every_device() -> None:
    named = _arguments({"block_size": 64}, dtype="bfloat16", max_model_len=2048)
    for on_cpu in (True, False):
        engine = named.completed(on_cpu).engine
        assert (engine["dtype"], engine["max_model_len"], engine["block_size"]) == ("bfloat16", 2048, 64)
    share = _arguments({"gpu_memory_utilization": 0.5}).completed(on_cpu=True).engine
    assert "kv_cache_memory_bytes" not in share and share["enforce_eager"]


def test_texts_are_cached_under_what_is_named_whatever_the_device(tmp_path: Path) -> None:
    identity = model_identity(PARAMS.llm, tmp_path, ROOT)
    assert identity["engine_args"] == {}
    float32 = PARAMS.llm.model_copy(update={"engine_args": {"dtype": "float32"}})
    assert model_identity(float32, tmp_path, ROOT) != identity
