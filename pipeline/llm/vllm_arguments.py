"""Parameters to vLLM's engine arguments, the same wherever the engine runs."""

import ast
import importlib.util
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError
from pipeline.base.files import read_json
from pipeline.base.params import LlmParams
from pipeline.llm.identity import OWN_ARGUMENTS, chat_template_text, local_folder
from pipeline.llm.types import one_line

# docs/parameters.md has the figures; on other devices vLLM's own defaults are right
CPU_DEFAULTS: dict[str, Any] = {
    "dtype": "float32",  # twice as fast as bfloat16 where the processor has no instructions for that
    "max_model_len": -1,  # as much of the model's context as the KV cache holds
    "enable_chunked_prefill": False,
    "enforce_eager": True,  # compiling makes the start take two minutes instead of half of one
    "block_size": 32,  # prefix caching shares full blocks only; vLLM's own is 128
    "kv_cache_memory_bytes": 1_500_000_000,  # vLLM's own is nearly all of the machine's memory
    "max_num_seqs": 256,
}


@dataclass(frozen=True)
class VllmArguments:
    """What vLLM gets (`engine`, with the model and the seed), and what this project does itself."""

    engine: dict[str, Any]
    chat_template: str | None
    template_arguments: dict[str, Any] | None
    lora: str | None

    def completed(self, on_cpu: bool) -> "VllmArguments":
        """With what is measured to be right on CPUs, where the model runs there; what is named stays."""
        if not on_cpu:
            return self
        defaults = dict(CPU_DEFAULTS)
        if "gpu_memory_utilization" in self.engine:  # another way to say how much memory; bytes would win
            del defaults["kv_cache_memory_bytes"]
        return replace(self, engine=defaults | self.engine)


def vllm_arguments(params: LlmParams, speed: dict[str, Any], seed: int, root: Path) -> VllmArguments:
    """Join `llm.engine_args` and `speed.llm`, and fill in what is safer than vLLM's own defaults anywhere.

    Sets what vLLM reads from the environment when it is imported, and imports it.

    Args:
        params: model, revision and engine arguments that can change texts.
        speed: further engine arguments (`speed.llm`).
        seed: the engine's own; requests carry theirs.
        root: what relative folders are relative to.

    Raises:
        UserError: vLLM is not installed, or has no such argument.
    """
    arguments = {**params.engine_args, **speed}
    own = {name: arguments.pop(name, None) for name in OWN_ARGUMENTS}
    folder = local_folder(params.model, root)
    _prepare_environment(offline=folder is not None)
    try:
        from vllm import EngineArgs
    except ImportError as error:
        raise UserError(
            "vLLM cannot be imported",
            "Install the extra `gpu` or `cpu` of this project, or set llm.engine to endpoint",
            file="params.yaml",
            field="llm.engine",
            value=one_line(error),
        ) from None
    _check_names(arguments, EngineArgs.__dataclass_fields__)
    template = arguments.pop("chat_template", None)
    arguments.setdefault("use_tqdm_on_load", False)
    arguments.setdefault("load_format", "auto" if arguments.get("quantization") == "gguf" else "safetensors")
    if params.output == "json":  # or a model may fill its answer with blanks
        arguments.setdefault(
            "structured_outputs_config", {"backend": "xgrammar", "disable_any_whitespace": True}
        )
    if own["lora"]:
        arguments["enable_lora"] = True
        arguments.setdefault("max_lora_rank", _lora_rank(str(own["lora"])))
    arguments |= {"model": str(folder or params.model), "revision": params.revision, "seed": seed}
    lora = str(own["lora"]) if own["lora"] else None
    text = chat_template_text(template) if template else None
    return VllmArguments(arguments, text, own["chat_template_kwargs"], lora)


def runs_on_cpu() -> bool:
    """Whether the installed vLLM runs models on this machine's CPU; a build for CPUs always does."""
    from vllm.platforms import current_platform

    return current_platform.is_cpu()


def effective_arguments(config: Any) -> dict[str, Any]:
    """What a `VllmConfig` has come to, vLLM's own defaults and limits included, for people to read."""
    model, cache, parallel, scheduler = (
        config.model_config,
        config.cache_config,
        config.parallel_config,
        config.scheduler_config,
    )
    return {
        "device": config.device_config.device_type,
        "dtype": str(model.dtype).removeprefix("torch."),
        "quantization": model.quantization,
        "max_model_len": model.max_model_len,
        "enforce_eager": model.enforce_eager,
        "block_size": cache.block_size,
        "kv_cache_memory_bytes": cache.kv_cache_memory_bytes,
        "tensor_parallel_size": parallel.tensor_parallel_size,
        "pipeline_parallel_size": parallel.pipeline_parallel_size,
        "enable_chunked_prefill": scheduler.enable_chunked_prefill,
        "max_num_seqs": scheduler.max_num_seqs,
        "max_num_batched_tokens": scheduler.max_num_batched_tokens,
    }


def load_error(what: str, model: str, error: Exception) -> UserError:
    """vLLM's refusal of a model or of the arguments, as the user's mistake that it nearly always is."""
    return UserError(
        f"vLLM could not {what}",
        "Read vLLM's lines above; correct llm.model, llm.engine_args or speed.llm",
        file="params.yaml",
        field="llm.model",
        value=f"{model}: {one_line(error)}",
    )


def _prepare_environment(offline: bool) -> None:
    """Set what vLLM reads when it is imported. What a user has set stays."""
    defaults = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if offline:
        defaults |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", category=FutureWarning, module="vllm")


def check_names(params: LlmParams, speed: dict[str, Any]) -> None:
    """Refuse names that vLLM does not know, in a tenth of a second: its source is read and not imported.

    Raises:
        UserError: names the argument. Where vLLM is not installed, or keeps its arguments elsewhere, nothing
            is known and nothing said; the engine checks again.
    """
    found = importlib.util.find_spec("vllm")
    source = Path(*found.submodule_search_locations or ()) / "engine/arg_utils.py" if found else None
    if source is None or not source.is_file():
        return
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == "EngineArgs":
            fields = [line.target for line in node.body if isinstance(line, ast.AnnAssign)]
            named = {**params.engine_args, **speed}.keys() - {*OWN_ARGUMENTS}
            _check_names(sorted(named), [field.id for field in fields if isinstance(field, ast.Name)])


def _check_names(named: Iterable[str], known: Iterable[str]) -> None:
    names = {*known, "chat_template", "compilation_config"}
    for name in named:
        if name not in names:
            raise UserError(
                "vLLM has no such engine argument",
                "Correct its spelling, or remove it",
                file="params.yaml",
                field="llm.engine_args or speed.llm",
                value=name,
            )


def _lora_rank(adapter: str) -> int:
    config = Path(adapter) / "adapter_config.json"
    return int(read_json(config, "Restore the adapter's config")["r"]) if config.is_file() else 16
