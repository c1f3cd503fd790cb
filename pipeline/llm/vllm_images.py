"""Models that take images, in vLLM: which ones do, and with which arguments."""

import ast
import importlib.util
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError, parameter_error
from pipeline.base.files import read_json
from pipeline.base.model_folder import hub_files
from pipeline.base.params import LlmParams
from pipeline.llm.model_files import local_folder

IMAGE_DEFAULTS: dict[str, Any] = {
    "limit_mm_per_prompt": {"image": 1, "video": 0, "audio": 0},  # no room is kept for others
    "mm_processor_cache_gb": 1,  # for images that several requests share; vLLM's own is 4
}
_REGISTRY = "model_executor/models/registry.py"


def image_placeholder(config: Any, model: str) -> str | None:
    """What stands for an image in a text for the model, if its class says so.

    Args:
        config: vLLM's `ModelConfig`.

    Raises:
        UserError: the model takes no images.
    """
    from vllm.model_executor.model_loader import get_model_cls
    from vllm.multimodal import MULTIMODAL_REGISTRY

    if not config.is_multimodal_model or not MULTIMODAL_REGISTRY.get_processing_info(
        config
    ).allowed_mm_limits.get("image"):
        raise no_images(model)
    try:
        return get_model_cls(config).get_placeholder_str("image", 1)
    except ValueError:  # its chat template alone knows
        return None


def check_takes_images(params: LlmParams, root: Path) -> None:
    """Refuse a model whose config names an architecture that takes texts alone, in a tenth of a second.

    Nothing is checked where the config or vLLM's list of architectures is not at hand; the engine checks
    again.

    Raises:
        UserError: names the model.
    """
    if "hf_overrides" in params.engine_args:  # it may name another architecture
        return
    folder = local_folder(params.model, root) or hub_files(params.model, params.revision, local_only=True)
    package = importlib.util.find_spec("vllm")
    source = Path(*package.submodule_search_locations or ()) / _REGISTRY if package else None
    if folder is None or source is None or not (source.is_file() and (folder / "config.json").is_file()):
        return
    named = read_json(folder / "config.json", "Restore it").get("architectures")
    known: dict[str, set[str]] = {"_TEXT_GENERATION_MODELS": set(), "_MULTIMODAL_MODELS": set()}
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            (target,) = node.targets
            names = {str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)}
            known.get(getattr(target, "id", ""), set()).update(names)
    texts_alone = known["_TEXT_GENERATION_MODELS"] - known["_MULTIMODAL_MODELS"]
    if isinstance(named, list) and named and texts_alone.issuperset(map(str, named)):
        raise no_images(params.model)


def no_images(model: str) -> UserError:
    """The error where images are asked of a model that takes none."""
    remedy = "Name a model that takes images, or set llm.images to false"
    return parameter_error("the model takes texts alone, no images", remedy, "llm.model", model)
