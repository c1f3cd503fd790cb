"""Parameters to vLLM's engine arguments, the same wherever the engine runs."""

import ast
import importlib.util
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError, one_line, parameter_error, perhaps
from pipeline.base.files import read_json
from pipeline.base.params import LlmParams
from pipeline.llm.identity import OWN_ARGUMENTS, chat_template_text
from pipeline.llm.model_files import check_llm_files, local_folder
from pipeline.llm.vllm_images import IMAGE_DEFAULTS

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
IN_FLIGHT_PER_SEQUENCE = 2  # requests for each sequence that an engine runs at once; the others wait in it
_SHOWN = {  # of a VllmConfig
    "model_config": ("dtype", "quantization", "max_model_len", "enforce_eager"),
    "cache_config": ("block_size", "kv_cache_memory_bytes"),
    "parallel_config": ("tensor_parallel_size", "pipeline_parallel_size"),
    "scheduler_config": ("enable_chunked_prefill", "max_num_seqs", "max_num_batched_tokens"),
}


@dataclass(frozen=True)
class VllmArguments:
    """What vLLM gets (`engine`, with the model and the seed), and what this project does itself."""

    engine: dict[str, Any]
    chat_template: str | None
    template_arguments: dict[str, Any]
    lora: str | None

    def completed(self, on_cpu: bool) -> "VllmArguments":
        """Add the defaults for CPUs where the model runs on one; arguments that are named stay."""
        if not on_cpu:
            return self
        defaults = dict(CPU_DEFAULTS)
        if "gpu_memory_utilization" in self.engine:  # another way to say how much memory; bytes would win
            del defaults["kv_cache_memory_bytes"]
        return replace(self, engine=defaults | self.engine)


def vllm_arguments(params: LlmParams, speed: dict[str, Any], seed: int, root: Path) -> VllmArguments:
    """Join `llm.engine_args` and `speed.llm`, with defaults that are safer than vLLM's own on every device.

    Sets what vLLM reads from the environment when it is imported, and imports it.

    Args:
        params: model, revision and engine arguments that can change texts.
        speed: further engine arguments (`speed.llm`).
        seed: the engine's own; requests carry theirs.
        root: the folder that relative folders start from.

    Raises:
        UserError: vLLM is not installed, or has no such argument, or a model's files are refused.
    """
    folder = local_folder(params.model, root)
    check_llm_files(params, root)
    default_environment(
        VLLM_NO_USAGE_STATS="1",
        DO_NOT_TRACK="1",
        VLLM_LOGGING_LEVEL="ERROR",
        TOKENIZERS_PARALLELISM="false",
        **({} if folder is None else {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}),
    )
    warnings.filterwarnings("ignore", category=FutureWarning, module="vllm")
    try:
        from vllm import EngineArgs
    except ImportError as error:
        remedy = "Install the extra `gpu` or `cpu` of this project, or set llm.engine to endpoint"
        raise parameter_error("vLLM cannot be imported", remedy, "llm.engine", one_line(error)) from None
    arguments = {**params.engine_args, **speed}
    lora, template = (arguments.pop(name, None) for name in OWN_ARGUMENTS)
    _check_names(arguments, EngineArgs.__dataclass_fields__)
    arguments.setdefault("use_tqdm_on_load", False)
    arguments.setdefault("load_format", "auto" if arguments.get("quantization") == "gguf" else "safetensors")
    if params.output == "json":  # or a model may fill its answer with blanks
        given = arguments.get("structured_outputs_config") or {}
        arguments["structured_outputs_config"] = {
            "backend": "xgrammar", "disable_any_whitespace": True, **given
        }  # fmt: skip
    if params.images:
        arguments = IMAGE_DEFAULTS | arguments
    if lora:
        arguments["enable_lora"] = True
        arguments.setdefault("max_lora_rank", _lora_rank(str(lora)))
    arguments |= {"model": str(folder or params.model), "revision": params.revision, "seed": seed}
    arguments["trust_remote_code"] = params.trust_remote_code
    text = chat_template_text(template) if template else None
    return VllmArguments(arguments, text, params.chat_template_kwargs, str(lora) if lora else None)


def runs_on_cpu() -> bool:
    """Whether the installed vLLM runs models on this machine's CPU; a build for CPUs always does."""
    from vllm.platforms import current_platform

    return current_platform.is_cpu()


def effective_arguments(config: Any) -> dict[str, Any]:
    """The arguments of a `VllmConfig` after vLLM has applied its own defaults and limits."""
    values = {
        name: getattr(getattr(config, section), name) for section, names in _SHOWN.items() for name in names
    }
    dtype = str(values["dtype"]).removeprefix("torch.")
    return {"device": config.device_config.device_type, **values, "dtype": dtype}


def load_error(what: str, model: str, error: Exception) -> UserError:
    """The error where vLLM refuses a model or its arguments: nearly always a mistake in the parameters."""
    remedy = "Read vLLM's lines above; correct llm.model, llm.engine_args or speed.llm"
    return parameter_error(f"vLLM could not {what}", remedy, "llm.model", f"{model}: {one_line(error)}")


def default_environment(**variables: str) -> None:
    """Set what a package reads when it is imported. What a user has set stays."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def check_names(params: LlmParams, speed: dict[str, Any]) -> None:
    """Refuse names that vLLM does not know, in a tenth of a second: its source is read and not imported.

    Nothing is checked where vLLM is not installed or keeps its arguments elsewhere; the engine checks again.

    Raises:
        UserError: names the argument.
    """
    package = importlib.util.find_spec("vllm")
    source = Path(*package.submodule_search_locations or ()) / "engine/arg_utils.py" if package else None
    if source is None or not source.is_file():
        return
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == "EngineArgs":
            fields = [line.target for line in node.body if isinstance(line, ast.AnnAssign)]
            named = {**params.engine_args, **speed}.keys() - {*OWN_ARGUMENTS}
            _check_names(sorted(named), [field.id for field in fields if isinstance(field, ast.Name)])


def _check_names(named: Iterable[str], known: Iterable[str]) -> None:
    names = {*known, "compilation_config"}
    for name in named:
        if name not in names:
            remedy = f"{perhaps(name, names)}Correct its spelling, or remove it"
            field = "llm.engine_args or speed.llm"
            raise parameter_error("vLLM has no such engine argument", remedy, field, name)


def _lora_rank(adapter: str) -> int:
    config = Path(adapter) / "adapter_config.json"
    if not config.is_file():
        return 16
    rank = read_json(config, "Restore the adapter's config").get("r")
    if not isinstance(rank, int) or rank < 1:
        raise UserError("the adapter's rank is no number", "Restore it", file=config, field="r", value=rank)
    return rank
