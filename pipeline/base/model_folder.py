"""What a model's files may hold: they are data, so nothing in them is run, unpickled, or read from elsewhere.

Model folders come from other people. Whatever loads one calls `check_model_files` first; it reads the small
files and the first bytes of the weights.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.base.errors import UserError
from pipeline.base.files import refuse_lfs_pointers

MAX_CONFIG_BYTES = 32 * 2**20  # of a config or a chat template; real ones are below 5 MB
MAX_VOCABULARY_BYTES = 512 * 2**20  # real ones are below 50 MB
MAX_HEADER_BYTES = 100_000_000  # of a safetensors file; the safetensors library refuses longer ones
_MAX_FILES = 20_000
_VOCABULARIES = frozenset({"tokenizer.json", "vocab.json", "added_tokens.json", "tekken.json"})
_CODE_KEYS = frozenset({"trust_remote_code", "auto_map", "custom_pipelines"})
_KERNEL_KEYS = re.compile(r"(attn|experts)_implementation(_internal)?$")  # `owner/name` would be a hub's code
_PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})
_HUB_REPOSITORY = re.compile(r"(?:models|datasets|spaces)--[^/]+")
_DVC_CACHE = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")
_HUB_FILES = ("*.json", "*.jinja", "*.txt")


def check_model_files(folder: Path, trust_parameter: str, trusted: bool) -> None:
    """Refuse a folder whose files ask for code to be run, lie outside of it, or are not what they are named.

    Args:
        folder: of a model, a tokenizer or an adapter.
        trust_parameter: the parameter that allows the model's own code, as in `llm.trust_remote_code`.
        trusted: its value; links and formats are checked all the same.

    Raises:
        UserError: names the file, the field and what can be done.
    """
    for file in _files(folder):
        if file.is_symlink():
            _check_link(file, folder)
        if not file.exists() or file.is_dir():
            continue  # a link within the folder
        if not file.is_file():  # a pipe would block for ever
            raise UserError("it is no regular file", "Remove it", file=file)
        refuse_lfs_pointers([file])
        _check_size(file)
        if file.suffix == ".safetensors":
            safetensors_header_bytes(file)
        elif file.suffix == ".gguf":
            _check_gguf(file)
        elif file.suffix == ".json" and file.name not in _VOCABULARIES:
            values = _read(file)
            if not trusted:
                refuse_code_requests(values, trust_parameter, file)
            if file.name.endswith(".index.json"):
                _check_index(values, file)


def code_requests(values: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """The fields, at any depth, that ask for code from outside to be run, with their values."""
    waiting = [(at, values)]
    while waiting:  # no recursion: a config may be nested deeply
        where, value = waiting.pop()
        if isinstance(value, dict):
            for key, below in value.items():
                field = f"{where}.{key}" if where else str(key)
                if _asks_for_code(str(key), below):
                    yield field, below
                waiting.append((field, below))
        elif isinstance(value, list | tuple):
            waiting += [(f"{where}[{place}]", below) for place, below in enumerate(value)]


def refuse_code_requests(values: Any, trust_parameter: str, file: object, at: str = "") -> None:
    """Refuse values that hold a field of `code_requests`.

    Raises:
        UserError: names file and field.
    """
    for field, value in code_requests(values, at):
        raise UserError(
            "the field asks for code that comes with a model to be run",
            f"Remove the field; or read that code, and set {trust_parameter} to true in params.yaml",
            file=file,
            field=field,
            value=str(value)[:200],
        )


def safetensors_header_bytes(file: Path) -> int:
    """The length of the header of a .safetensors file: JSON that begins at its ninth byte.

    Raises:
        UserError: it is no such file, or cut.
    """
    size = file.stat().st_size
    with open(file, "rb") as content:
        head = content.read(9)
    length = int.from_bytes(head[:8], "little")
    if len(head) < 9 or length > min(MAX_HEADER_BYTES, size - 8) or head[8:] != b"{":
        raise UserError(
            "the file is no safetensors file: its header does not fit it",
            "Fetch it again, or restore it",
            file=file,
            value=f"a header of {length:,} bytes in a file of {size:,}",
        )
    return length


def pickles_in(folder: Path) -> list[str]:
    """Names of the files that hold pickled weights, by their endings, sorted."""
    return sorted(path.name for path in folder.iterdir() if path.suffix.lower() in _PICKLES)


def hub_files(name: str, revision: str | None = None, local_only: bool = False) -> Path | None:
    """The folder with the configs of a hub model; its weights are not fetched.

    Args:
        local_only: look only at what was fetched before.

    Returns:
        None where the hub or the model cannot be reached; what loads the model says why.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=list(_HUB_FILES), local_files_only=local_only
            )
        )
    except Exception:
        return None


def _asks_for_code(key: str, value: Any) -> bool:
    if key in _CODE_KEYS:
        return value not in (None, False, 0, "", [], {})
    if _KERNEL_KEYS.search(key):
        names = value.values() if isinstance(value, dict) else [value]
        return any(isinstance(name, str) and "/" in name for name in names)
    return False


def _files(folder: Path) -> Iterator[Path]:
    """All files and links below a folder, hidden folders (git, caches) apart; links are not followed."""
    count = 0
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in sorted([*names, *links]):
            count += 1
            if count > _MAX_FILES:
                reason = f"the folder holds more than {_MAX_FILES:,} files, so it is no model's"
                raise UserError(reason, "Name the folder of one model", file=folder)
            yield Path(parent, name)


def _check_link(link: Path, folder: Path) -> None:
    """A link stays in its folder, in the hub's cache of the same model, or in a DVC cache."""
    target, root = os.path.realpath(link), Path(os.path.realpath(folder))
    homes = [root]
    for parent in root.parents:
        if _HUB_REPOSITORY.fullmatch(parent.name):
            homes.append(parent)
    inside = any(target == str(home) or target.startswith(f"{home}{os.sep}") for home in homes)
    if not inside and not _DVC_CACHE.search(target):
        raise UserError(
            "the link leads out of the model's folder",
            "Put the file itself there, or name the folder in which it lies",
            file=link,
            value=target,
        )


def _check_size(file: Path) -> None:
    if file.suffix in (".json", ".jinja") and file.name not in _VOCABULARIES:
        limit = MAX_CONFIG_BYTES
    elif file.suffix in (".json", ".txt", ".model", ".tiktoken"):
        limit = MAX_VOCABULARY_BYTES
    else:
        return
    if (size := file.stat().st_size) > limit:
        reason = f"the file is larger than such a file of any model ({limit:,} bytes)"
        raise UserError(reason, "Restore it, or remove it", file=file, value=f"{size:,} bytes")


def _read(file: Path) -> Any:
    remedy = "Restore it, or remove it"
    try:
        return json.loads(file.read_bytes())
    except RecursionError:
        raise UserError("the JSON is nested too deeply", remedy, file=file) from None
    except ValueError as error:
        raise UserError("the file holds no JSON", remedy, file=file, value=error) from None


def _check_index(values: Any, file: Path) -> None:
    """The parts that an index names lie beside it."""
    parts = values.get("weight_map") if isinstance(values, dict) else None
    if not isinstance(parts, dict):
        raise UserError("the index has no weight_map", "Restore it", file=file, field="weight_map")
    for tensor, part in parts.items():
        name = PurePosixPath(part) if isinstance(part, str) else None
        if name is None or name.is_absolute() or ".." in name.parts or "\\" in part:
            raise UserError(
                "the index names a file outside of the model's folder",
                "Restore the index; it names files beside it",
                file=file,
                field=f"weight_map.{tensor}",
                value=part,
            )


def _check_gguf(file: Path) -> None:
    with open(file, "rb") as content:
        head = content.read(4)
    if head != b"GGUF":
        remedy = "Fetch it again, or use .safetensors weights"
        raise UserError("the file is no GGUF file", remedy, file=file, value=head)
