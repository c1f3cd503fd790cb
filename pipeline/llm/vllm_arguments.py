"""Parameters to vLLM's engine arguments, the same wherever the engine runs."""

import json
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.llm.identity import OWN_ARGUMENTS, local_folder
from pipeline.llm.types import one_line
from pipeline.params import LlmParams


@dataclass(frozen=True)
class VllmArguments:
    """What vLLM gets (`engine`, with the model and the seed), and what this project does itself."""

    engine: dict[str, Any]
    chat_template: str | None
    template_arguments: dict[str, Any] | None
    lora: str | None


def vllm_arguments(params: LlmParams, speed: dict[str, Any], seed: int, root: Path) -> VllmArguments:
    """Join `llm.engine_args` and `speed.llm`, and fill in what is safer than vLLM's own defaults.

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
    if template and Path(template).is_file():
        template = Path(template).read_text(encoding="utf-8")
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
    return VllmArguments(arguments, template, own["chat_template_kwargs"], lora)


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


def _check_names(arguments: dict[str, Any], known: Iterable[str]) -> None:
    names = {*known, "chat_template", "compilation_config"}
    for name in arguments:
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
    return int(json.loads(config.read_text())["r"]) if config.is_file() else 16
