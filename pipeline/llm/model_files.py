"""The files of a language model, of its adapter and of others that its arguments name, checked before use."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError, parameter_error
from pipeline.base.model_folder import check_model_files, hub_files, pickles_in
from pipeline.base.params import LlmParams

TRUST = "llm.trust_remote_code"
_UNSAFE_FORMATS = ("pt", "npcache")  # of vLLM's load_format: pickled weights
_ADAPTER_WEIGHTS = "adapter_model.safetensors"


def check_llm_files(params: LlmParams, root: Path = Path("."), local_only: bool = False) -> list[Path]:
    """Refuse models whose files ask for code to be run, are pickled, or lie elsewhere; nothing is loaded.

    Of a hub model the configs are fetched; where the hub cannot be reached, vLLM says so later.

    Args:
        local_only: of a hub model look only at what was fetched before.

    Returns:
        The folders that were looked at, the model's first.

    Raises:
        UserError: names the file, the field and what can be done.
    """
    if (load_format := params.engine_args.get("load_format")) in _UNSAFE_FORMATS:
        remedy, field = "Convert them to safetensors, and remove it", "llm.engine_args.load_format"
        raise parameter_error("pickled weights are not loaded", remedy, field, load_format)
    folders = []
    for name, field, revision in named_models(params):
        folder = local_folder(name, root, field)
        if folder is not None and field == "llm.engine_args.lora":
            _check_adapter(folder)
        if folder is not None and revision is not None:
            where = "llm.revision" if field == "llm.model" else "llm.engine_args.tokenizer_revision"
            remedy = "Remove it, or name a model of the hub"
            raise parameter_error(f"the folder {name} has no revision", remedy, where, revision)
        if folder is None:
            folder = hub_files(name, revision, local_only)
        if folder is not None:
            check_model_files(folder, TRUST, params.trust_remote_code)
            folders.append(folder)
    return folders


def local_folder(model: str, root: Path = Path("."), field: str = "llm.model") -> Path | None:
    """The model's folder, or None where `model` is a hub name.

    Raises:
        UserError: the name can only be meant as a folder, and there is none.
    """
    named = Path(model).expanduser()
    folder = root / named
    if folder.is_dir():
        return folder
    is_path = folder.is_file() or named.is_absolute() or model.startswith((".", "~")) or len(named.parts) > 2
    if is_path or (len(named.parts) == 2 and (root / named.parts[0]).is_dir()):
        remedy = "Correct the path, run `git checkout` or `dvc pull` for it, or give a hub name"
        raise parameter_error("there is no such model folder", remedy, field, model)
    return None


def named_models(params: LlmParams) -> Iterator[tuple[str, str, str | None]]:
    """Every model that the parameters name: its name, the parameter, its revision."""
    yield params.model, "llm.model", params.revision
    arguments: dict[str, Any] = params.engine_args
    of_tokenizer: str | None = arguments.get("tokenizer_revision")
    speculative = arguments.get("speculative_config") or {}
    others = {
        "lora": arguments.get("lora"),
        "tokenizer": arguments.get("tokenizer", params.model),
        "hf_config_path": arguments.get("hf_config_path"),
        "speculative_config.model": speculative.get("model") if isinstance(speculative, dict) else None,
    }
    for argument, name in others.items():
        revision = of_tokenizer if argument == "tokenizer" else None
        if isinstance(name, str) and name and (name != params.model or revision is not None):
            yield name, f"llm.engine_args.{argument}", revision


def _check_adapter(folder: Path) -> None:
    pickles = pickles_in(folder)
    if pickles and not (folder / _ADAPTER_WEIGHTS).is_file():
        raise UserError(
            "the adapter's weights are pickled, and pickles are not loaded",
            f"Convert them to {_ADAPTER_WEIGHTS} and remove the pickle",
            file=folder / pickles[0],
        )
