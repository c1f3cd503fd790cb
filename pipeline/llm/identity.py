"""The identity of the model that writes a text, for row keys; it does not depend on where its files lie."""

from pathlib import Path
from typing import Any

from pipeline.base.errors import parameter_error, refuse_odd
from pipeline.base.files import file_hashes, refuse_lfs_pointers
from pipeline.base.params import LlmParams
from pipeline.llm.model_files import local_folder

OWN_ARGUMENTS = ("lora", "chat_template")  # of engine_args: this project's; the others are vLLM's
_WITHOUT_WEIGHTS = ("tokenizer", "hf_config_path")  # of engine_args: they name a model, not its weights
_WEIGHTS = ("*.safetensors", "*.gguf")
_CONTENT = (
    "*config*.json", "*.index.json", "tokenizer*.json", "vocab*.json", "special_tokens_map.json",
    "added_tokens.json", "chat_template*", "tekken.json", "*.model", "*.tiktoken", "merges.txt", "vocab.txt",
    "additional_chat_templates/*.jinja",
)  # fmt: skip


def model_identity(params: LlmParams, cache: Path, root: Path = Path(".")) -> dict[str, Any]:
    """A JSON object that is equal for equal models and differs for different ones.

    A folder is identified by the hashes of its files, a hub model by its name and commit, a served model by
    its name and what the server reports. Engine arguments that can change texts, a LoRA adapter, a tokenizer
    or config of another model, and the variables of the chat template count too.

    Args:
        params: names the model; nothing is loaded.
        cache: folder for remembered file hashes and server answers.
        root: the folder that relative folders start from.

    Raises:
        UserError: a folder is missing or holds a git-LFS pointer, the model's or the adapter's holds no
            safetensors, or the server does not answer.
    """
    variables = {"chat_template_kwargs": params.chat_template_kwargs} if params.chat_template_kwargs else {}
    if params.engine == "endpoint":
        from pipeline.llm.endpoint_engine import reported_model

        served = {"kind": "endpoint", "name": params.model, "reported": reported_model(params, cache)}
        return {**served, **variables}
    arguments = params.engine_args | variables
    code = ("*.py",) if params.trust_remote_code else ()
    identity = _identity(params.model, params.revision, cache, root, "llm.model", (*_WEIGHTS, *code))
    if lora := arguments.pop("lora", None):
        identity["lora"] = _identity(str(lora), None, cache, root, "llm.engine_args.lora", _WEIGHTS)
    for name in _WITHOUT_WEIGHTS:
        if arguments.get(name):
            revision = arguments.get("tokenizer_revision") if name == "tokenizer" else None
            other, field = str(arguments.pop(name)), f"llm.engine_args.{name}"
            identity[name] = _identity(other, revision, cache, root, field, code)
    if template := arguments.get("chat_template"):
        arguments["chat_template"] = chat_template_text(template)
    if params.trust_remote_code:
        identity["trust_remote_code"] = True
    return {**identity, "engine_args": arguments}


def chat_template_text(template: str) -> str:
    """The text of a chat template that is given as such or as the path of a file.

    Raises:
        UserError: there is no such file, or it is a git-LFS pointer.
    """
    if "{" in template:
        return template
    try:
        refuse_odd(template)
        refuse_lfs_pointers([Path(template)])
        return Path(template).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        remedy, value = "Correct the path, or write the template itself", f"{template}: {error}"
        field = "llm.engine_args.chat_template"
        raise parameter_error("the chat template cannot be read", remedy, field, value) from None


def _identity(
    model: str, revision: str | None, cache: Path, root: Path, field: str, further: tuple[str, ...]
) -> dict[str, Any]:
    """Of a folder or a hub model.

    Args:
        further: patterns of files that count beside configs and tokenizer; with those of weights, there must
            be some.
    """
    folder = local_folder(model, root, field)
    if folder is None:
        return {"kind": "hub", "name": model, "revision": _hub_commit(model, revision) or revision or "main"}
    refuse_lfs_pointers(folder.iterdir())
    matching = {path for pattern in (*_CONTENT, *further) for path in folder.glob(pattern)}
    files = sorted(path for path in matching if path.is_file())
    weights = [pattern for pattern in _WEIGHTS if pattern in further]
    if weights and not any(path.match(pattern) for path in files for pattern in weights):
        remedy = "Train or pull the model, or convert its weights: pickled ones are not loaded"
        raise parameter_error("the model folder holds no .safetensors (or .gguf) file", remedy, field, model)
    return {"kind": "folder", "files": file_hashes(files, cache, folder)}


def _hub_commit(model: str, revision: str | None) -> str | None:
    """The commit of a branch or tag in the local copy of the hub, if there is one."""
    try:
        from huggingface_hub.constants import HF_HUB_CACHE
    except ImportError:
        return None
    reference = Path(HF_HUB_CACHE) / f"models--{model.replace('/', '--')}" / "refs" / (revision or "main")
    return reference.read_text().strip() if reference.is_file() else None
