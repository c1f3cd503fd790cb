"""Where a vision language model comes from. It is checked in milliseconds, before open_clip is imported."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pipeline.base.errors import UserError, perhaps
from pipeline.base.files import read_json, refuse_lfs_pointers
from pipeline.base.model_folder import check_model_files, hub_files, pickles_in
from pipeline.base.params import VlmParams

LOCAL, HUB = "local-dir:", "hf-hub:"
CONFIG_NAME = "open_clip_config.json"
TRUST = "vlm.trust_remote_code"
_PATH_REMEDY = "Correct the path; it is relative to the project's folder"
_PREFERRED = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")


@dataclass(frozen=True)
class VlmSource:
    """A model, as open_clip names it.

    Attributes:
        name, pretrained: open_clip's arguments.
        weights: the safetensors file, where it is on this machine.
        config: the `open_clip_config.json` of a local folder.
    """

    name: str
    pretrained: str | None
    weights: Path | None
    config: dict[str, Any] | None

    @property
    def is_local(self) -> bool:
        return self.weights is not None


def locate(params: VlmParams, root: Path = Path(".")) -> VlmSource:
    """Find what `vlm.model` and `vlm.pretrained` name; relative paths are relative to `root`.

    Raises:
        UserError: the folder or file is missing, holds no config, no safetensors weights, a git-LFS pointer
            or something that no model needs (`check_model_files`), or a built-in model has no `pretrained`
            (its weights would be random).
    """
    if params.model.startswith(LOCAL):
        return _locate_folder(params, root / params.model.removeprefix(LOCAL))
    if params.model.startswith(HUB):
        _refuse_pretrained(params)
        return VlmSource(params.model, None, None, None)
    if params.pretrained is None:
        _check_name(params)
        remedy = "Name an open_clip tag or a .safetensors file, or set vlm.model to local-dir:<folder>"
        _refuse("a built-in model needs pretrained weights", remedy, "vlm.pretrained", None)
    if params.pretrained.endswith(".safetensors"):
        file = root / params.pretrained
        if not file.is_file():
            _refuse("there is no such weights file", _PATH_REMEDY, "vlm.pretrained", params.pretrained)
        refuse_lfs_pointers([file])
        return VlmSource(params.model, str(file), file, None)
    return VlmSource(params.model, params.pretrained, None, None)


def _locate_folder(params: VlmParams, folder: Path) -> VlmSource:
    _refuse_pretrained(params)
    if not folder.is_dir():
        _refuse("there is no such model folder", _PATH_REMEDY, "vlm.model", params.model)
    check_model_files(folder, TRUST, params.trust_remote_code)
    file = folder / CONFIG_NAME
    if not file.is_file():
        remedy = "Name a folder that open_clip wrote, with its config and .safetensors weights"
        _refuse(f"the model folder has no {CONFIG_NAME}", remedy, "vlm.model", params.model)
    config = read_json(file, "Restore the model's config")
    if not isinstance(config.get("model_cfg"), dict):
        raise UserError("the model's config has no 'model_cfg'", "Restore it", file=file, field="model_cfg")
    _check_paths(config, file)
    return VlmSource(LOCAL + str(folder), None, _weights_in(folder), config)


def _weights_in(folder: Path) -> Path:
    """The one weights file that open_clip will choose; never a pickle."""
    weights = {path.name: path for path in folder.glob("*.safetensors")}
    for name in _PREFERRED:
        if name in weights:
            return weights[name]
    if pickles := pickles_in(folder):
        raise UserError(
            "the model folder holds pickled weights, which are not loaded",
            f"Convert them to {_PREFERRED[0]} and remove the pickle",
            file=folder / pickles[0],
        )
    if len(weights) != 1:
        raise UserError(
            "the model folder must hold one .safetensors file",
            f"Name the weights {_PREFERRED[0]}",
            file=folder,
            value=", ".join(sorted(weights)) or "none",
        )
    return next(iter(weights.values()))


def _check_paths(config: dict[str, Any], file: Path) -> None:
    """open_clip hands these values on to libraries that would read the files they name."""
    waiting: list[tuple[str, Any]] = [("", config)]
    while waiting:
        field, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{field}.{key}".lstrip("."), below) for key, below in value.items()]
        elif isinstance(value, str) and (value.startswith(("/", "~")) or ".." in Path(value).parts):
            reason, remedy = (
                "the value leads out of the model's folder",
                "Name a model of the hub, or remove it",
            )
            raise UserError(reason, remedy, file=file, field=field, value=value)


def _refuse_pretrained(params: VlmParams) -> None:
    if params.pretrained is not None:
        reason = "a local-dir: or hf-hub: model brings its own weights"
        _refuse(reason, "Set vlm.pretrained to null", "vlm.pretrained", params.pretrained)


def check_named(source: VlmSource, params: VlmParams) -> None:
    """Check a model that is no folder: a hub's configs, or open_clip's list of models (imports open_clip).

    Raises:
        UserError: the configs ask for code to be run, or the model or the tag is unknown; the remedy names
            close matches or the known tags.
    """
    if source.name.startswith(HUB):
        if (files := hub_files(source.name.removeprefix(HUB))) is not None:
            check_model_files(files, TRUST, params.trust_remote_code)
        return
    if source.name.startswith(LOCAL):
        return
    import open_clip

    _check_name(params)
    tags = open_clip.list_pretrained_tags_by_model(source.name.replace("/", "-"))
    if source.weights is None and source.pretrained not in tags:
        remedy = f"Choose one of {', '.join(tags) or '(none)'}, or a .safetensors file"
        _refuse("open_clip has no such weights for this model", remedy, "vlm.pretrained", params.pretrained)


def _check_name(params: VlmParams) -> None:
    import open_clip

    known = open_clip.list_models()
    if params.model.replace("/", "-") not in known:
        like = perhaps(params.model, known)
        if Path(params.model).is_dir():
            like = f"Did you mean '{LOCAL}{params.model}'? "
        remedy = f"{like}Name a model of open_clip, hf-hub:<name> or local-dir:<folder>"
        _refuse("open_clip knows no such model", remedy, "vlm.model", params.model)


def _refuse(reason: str, remedy: str, field: str, value: str | None) -> NoReturn:
    raise UserError(reason, remedy, file="params.yaml", field=field, value=value)


@contextmanager
def offline(active: bool) -> Iterator[None]:
    """Keep Hugging Face libraries off the network inside the block, and only there.

    Another model of the same process may have to come from a hub, so the former setting is restored.
    """
    if not active:
        yield
        return
    import huggingface_hub.constants as constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        with environment(HF_HUB_OFFLINE="1"):
            yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set variables of the environment inside the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
