"""Engine arguments of larger models on the real vLLM: quantised weights, a model in two parts."""

import json
import os
import shutil
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from pipeline.base.params import load_params
from pipeline.faithfulness.check import check, vocabulary_of
from pipeline.llm.vllm_engine import VllmEngine
from tests.language_toy import ROOT, caption_requests

pytestmark = pytest.mark.slow

PARAMS = load_params(ROOT / "params.yaml")
CAPTIONER = ROOT / "models/captioner"
ROWS = 48
W8A8 = {
    "quant_method": "compressed-tensors",
    "format": "int-quantized",
    "quantization_status": "compressed",
    "ignore": ["lm_head"],
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"},
            "input_activations": {
                "num_bits": 8,
                "type": "int",
                "symmetric": True,
                "strategy": "token",
                "dynamic": True,
            },
        }
    },
}


def _run(model: Path, **speed: Any) -> tuple[dict[str, Any], float]:
    """The arguments that the engine came to, and the share of its texts that are all right."""
    asked = caption_requests(ROWS)
    vocabulary = vocabulary_of([graph for _, graph in asked])
    llm = PARAMS.llm.model_copy(update={"model": str(model)})
    engine = VllmEngine(llm, {"kv_cache_memory_bytes": 64_000_000, **speed}, 0, ROOT)
    try:
        effective = engine.effective()
        said = {result.key: result.text for result in engine.generate(request for request, _ in asked)}
    finally:
        engine.close()
    right = [check(said[request.key] or "", graph, vocabulary).all_right for request, graph in asked]
    return effective, mean(right)


def _quantised(folder: Path) -> Path:
    """The embedded captioner with int8 weights, a scale for each output channel."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(CAPTIONER, folder, ignore=shutil.ignore_patterns("*.py", "dvc.*"))
    tensors = {}
    for name, tensor in load_file(CAPTIONER / "model.safetensors").items():
        if name.endswith("_proj.weight"):
            scale = tensor.float().abs().amax(dim=1, keepdim=True) / 127
            tensors[name] = (tensor.float() / scale).round().to(torch.int8)
            tensors[name + "_scale"] = scale
        else:
            tensors[name] = tensor
    save_file(tensors, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": W8A8}))
    return folder


def test_quantised_weights_say_the_same_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    model = _quantised(tmp_path / "captioner")
    assert (model / "model.safetensors").stat().st_size < 0.8 * (
        CAPTIONER / "model.safetensors"
    ).stat().st_size
    effective, right = _run(model)
    assert effective["quantization"] == "compressed-tensors"
    assert right > 0.8


def test_a_model_in_two_parts_says_the_same_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("each part needs a core of its own")
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", f"{cores[0]}|{cores[1]}")
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # one process less to start
    effective, right = _run(CAPTIONER, tensor_parallel_size=2)
    assert effective["tensor_parallel_size"] == 2
    assert right > 0.8
