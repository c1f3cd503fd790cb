"""vLLM's engine arguments: which of them can change texts, and which this project's way of running refuses.

Every argument of vLLM 0.32 is one of four kinds: a parameter of its own (`OWN`), refused (`REFUSED`), able to
change texts (`TEXT`: allowed in `llm.engine_args` alone), or about speed, memory and machines (the others).
"""

from collections.abc import Mapping
from typing import Any

from pipeline.base.sampling import ELSEWHERE, NEUTRAL

# the keys of the row cache hold what llm.engine_args names
TEXT = frozenset({
    "additional_config", "allow_deprecated_quantization", "chat_template", "code_revision", "config_format",
    "diffusion_config", "disable_sliding_window", "dtype", "enable_lora",
    "enable_mamba_cache_stochastic_rounding", "enable_mixed_moe_lora_format", "enable_moe_shared_loras",
    "enable_tower_connector_lora", "hf_config_path", "hf_overrides", "kv_cache_dtype",
    "kv_cache_dtype_skip_layers", "load_format", "logits_processors", "lora", "lora_dtype",
    "lora_target_modules", "mamba_cache_dtype", "mamba_cache_philox_rounds", "mamba_ssm_cache_dtype",
    "max_lora_rank", "max_model_len", "mm_device_do_normalize", "mm_encoder_attn_dtype",
    "mm_encoder_fp8_scale_path", "mm_processor_kwargs", "model_class_overrides", "model_impl",
    "quantization", "quantization_config", "reasoning_parser", "reasoning_parser_plugin",
    "speculative_config", "structured_outputs_config", "tokenizer", "tokenizer_mode", "tokenizer_revision",
    "use_fp64_gumbel", "watermark_config",
})  # fmt: skip
_LORA = frozenset({
    "enable_lora", "enable_mixed_moe_lora_format", "enable_moe_shared_loras", "enable_tower_connector_lora",
    "lora_dtype", "lora_target_modules", "max_lora_rank",
})  # fmt: skip
_JSON = frozenset({"reasoning_parser", "reasoning_parser_plugin", "structured_outputs_config"})
OWN = {
    "model": "llm.model", "revision": "llm.revision", "trust_remote_code": "llm.trust_remote_code",
    "default_chat_template_kwargs": "llm.chat_template_kwargs", **ELSEWHERE,
    **{name: f"llm.sampling.{name}" for name in NEUTRAL},
}  # fmt: skip
_DRAWN = "only params.yaml says how texts are drawn, for every engine alike: set llm.sampling"
_SERVED = "it is for vLLM's own server, and no stage starts one"
_FIGURES = "no stage reads these figures"
_PICTURES = "no stage gives a model such input"
_SPECULATION = "write it as speculative_config"
REFUSED = {  # why, and what to do instead where there is something
    "generation_config": f"{_DRAWN}; more end tokens are llm.sampling.stop_token_ids",
    "override_generation_config": _DRAWN,
    "logprobs_mode": _FIGURES, "max_logprobs": _FIGURES, "enable_return_routed_experts": _FIGURES,
    "return_sampling_mask": _FIGURES, "per_request_spec_decode_metrics": _FIGURES,
    "enable_trace_replay": "no stage replays a trace",
    "served_model_name": _SERVED, "tokens_only": _SERVED, "_api_process_count": _SERVED,
    "_api_process_rank": _SERVED, "max_num_queued_reqs": _SERVED, "max_num_queued_tokens": _SERVED,
    "io_processor_plugin": _SERVED, "renderer_num_workers": _SERVED,
    "runner": "the stages generate text, and nothing else is run",
    "convert": "the stages generate text, and nothing else is run",
    "pooler_config": "the stages generate text, and nothing else is run",
    "mm_encoder_only": "the stages generate text, and nothing else is run",
    "skip_tokenizer_init": "the stages need the tokenizer",
    "scheduling_policy": "no request of a stage has a priority",
    "enable_prompt_embeds": _PICTURES, "enable_mm_embeds": _PICTURES, "video_pruning_rate": _PICTURES,
    "video_pruning_method": _PICTURES, "allowed_local_media_path": _PICTURES,
    "allowed_media_domains": _PICTURES, "media_io_kwargs": _PICTURES,
    "interleave_mm_strings": "the stages render the chat template themselves",
    "max_lora_cls_labels": "the stages generate text, and nothing else is run",
    "default_mm_loras": "name the one adapter as lora",
    "model_weights": "name the model's folder as llm.model",
    "hf_token": "a token belongs into no file: set the variable HF_TOKEN",
    "reasoning_config": "it bounds thoughts by a field of requests that no stage sends",
    "spec_method": _SPECULATION, "spec_model": _SPECULATION, "spec_tokens": _SPECULATION,
    "mm_encoder_fp8_scale_save_path": "it is for calibration, which no stage does",
    "mm_encoder_fp8_scale_save_margin": "it is for calibration, which no stage does",
    "weight_transfer_config": "it is for training, and no stage trains a language model",
}  # fmt: skip


def checked_arguments(value: dict[str, Any]) -> dict[str, Any]:
    """The mapping itself.

    Raises:
        ValueError: an argument is a parameter of its own, or would have no effect; the message says which,
            why, and what to do.
    """
    for name in value:
        if name in OWN:
            raise ValueError(f"'{name}' is a parameter of its own: set {OWN[name]}")
        if name in REFUSED:
            raise ValueError(f"'{name}' would have no effect: {REFUSED[name]}")
    return value


def without_effect(arguments: Mapping[str, Any], output: str, trusted: bool) -> tuple[str, str] | None:
    """An argument of `llm.engine_args` that the other parameters leave without effect, and the reason.

    Args:
        output: `llm.output`.
        trusted: `llm.trust_remote_code`.
    """
    for name in arguments:
        if name in _LORA and not arguments.get("lora"):
            return name, "it needs an adapter: name its folder as lora"
        if name in _JSON and output != "json":
            return name, "it is about answers under a schema: set llm.output to json"
        if name == "code_revision" and not trusted:
            return name, "no code of a model is run while llm.trust_remote_code is false"
    return None
