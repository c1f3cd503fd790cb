"""Thoughts between special tokens come out of the real vLLM: a model that says one thing thinks before it."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from pipeline.base.params import load_params
from pipeline.captions.answer import Reading, caption_of
from pipeline.llm.types import Request, Sampling
from pipeline.llm.vllm_engine import VllmEngine
from tests.pipeline.llm.tiny_llama import TEMPLATE, make_tiny_llama

pytestmark = pytest.mark.slow

SPEED = {"enforce_eager": True, "kv_cache_memory_bytes": 64_000_000, "max_num_seqs": 4}


def _chained(folder: Path, *tokens: str) -> Path:
    """A Llama that says these tokens one after the other, whatever it reads before the first one."""
    make_tiny_llama(folder, TEMPLATE + tokens[0])
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]"]})
    tokenizer.save_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer))
    ids = tokenizer.convert_tokens_to_ids(list(tokens))
    with torch.no_grad():
        for layer in model.model.layers:  # the last token alone says what comes
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.norm.weight.fill_(1)
        model.model.embed_tokens.weight.zero_()
        model.lm_head.weight.zero_()
        for place, (token, following) in enumerate(pairwise(ids)):
            model.model.embed_tokens.weight[token, place] = 1
            model.lm_head.weight[following, place] = 1
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("tokens", "answer"),
    [
        ((":", "[THINK]", "a", "[/THINK]", "b", "<eos>"), "[THINK]a[/THINK]b"),
        (("[THINK]", "a", "[/THINK]", "b", "<eos>"), "[THINK]a[/THINK]b"),  # the prompt opens them
        (("[THINK]", "a", "c", "d", "e", "f", "g", "[/THINK]", "b", "<eos>"), "[THINK]acdef"),
    ],
)
def test_thoughts_are_told_from_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens: tuple[str, ...], answer: str
) -> None:
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    arguments = {"dtype": "float32", "max_model_len": 512}
    llm = load_params(Path(__file__).parents[3] / "params.yaml").llm.model_copy(
        update={"model": str(_chained(tmp_path, *tokens)), "engine_args": arguments}
    )
    engine = VllmEngine(llm, SPEED, 0, Path("."))
    try:
        (result,) = engine.generate(
            [Request("k", [{"role": "user", "content": "x"}], Sampling.of(0, 1, 0), 5, None)]
        )
    finally:
        engine.close()
    assert result.text == answer
    cut = result.finish_reason == "length"
    assert caption_of(answer) == (Reading(None, thinking=True) if cut else Reading("b"))
