"""How a model is built, as one hash that does not depend on how its config is written."""

import inspect
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipeline.base.files import identity_hash
from pipeline.vision.source import VlmSource

_OF_LOADING = ("timm_model_pretrained", "hf_model_pretrained")  # open_clip sets both, whatever a config says


def architecture(model: Any, source: VlmSource) -> str:
    """Hex sha256 of the config by which open_clip has built a model."""
    import open_clip

    if source.config is not None:
        return architecture_hash(type(model), source.config["model_cfg"])
    name = source.name if ":" in source.name else source.name.replace("/", "-")
    return architecture_hash(type(model), open_clip.get_model_config(name))


def architecture_hash(built: type, config: Mapping[str, Any]) -> str:
    """Hex sha256 of a `model_cfg` of open_clip.

    What it does not name counts as open_clip's default, and 4.0 counts as 4.

    Args:
        built: class of the model; it stands for `custom_text`.
    """
    from open_clip import CLIPTextCfg, CLIPVisionCfg
    from open_clip.coca_model import MultimodalCfg

    parameters = inspect.signature(built).parameters.values()
    defaults = {of.name: of.default for of in parameters if of.default is not of.empty}
    whole = {"class": built.__name__, **defaults, **config}
    whole.pop("custom_text", None)
    kinds = {"vision_cfg": CLIPVisionCfg, "text_cfg": CLIPTextCfg, "multimodal_cfg": MultimodalCfg}
    for section in kinds.keys() & whole.keys():
        filled = asdict(kinds[section](**whole[section]))
        whole[section] = {name: value for name, value in filled.items() if name not in _OF_LOADING}
    return identity_hash(_plain(whole))


def _plain(value: Any) -> Any:
    """The value with every whole number as an integer."""
    if isinstance(value, Mapping):
        return {name: _plain(below) for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(below) for below in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
