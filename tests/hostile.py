"""Model folders that try to run code: each would write a file, the sentinel, if anything of theirs ran."""

import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

MODULE = "evil"  # the name of the Python file beside a model


class Payload:
    """Writes the sentinel when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self._sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._sentinel}",)


def write_code(folder: Path, sentinel: Path) -> None:
    """A module whose import writes the sentinel, with classes for every `auto_map`."""
    (folder / f"{MODULE}.py").write_text(
        f"open({str(sentinel)!r}, 'w').close()\n"
        "from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast\n"
        "class Tok(PreTrainedTokenizerFast): pass\n"
        "class Cfg(LlamaConfig): pass\n"
        "class Lm(LlamaForCausalLM): pass\n"
    )


def write_pickle(file: Path, sentinel: Path) -> None:
    """A checkpoint in PyTorch's format that writes the sentinel when it is unpickled."""
    import torch

    torch.save({"state_dict": Payload(sentinel)}, file)


def change(file: Path, *keys: str | int, value: Any) -> None:
    """Set a field of a JSON file, which is made if it is missing; keys that are missing become objects."""
    values = json.loads(file.read_text()) if file.is_file() else {}
    parent = values
    for key in keys[:-1]:
        parent = parent.setdefault(key, {}) if isinstance(parent, dict) else parent[key]
    parent[keys[-1]] = value
    file.write_text(json.dumps(values))


@dataclass(frozen=True)
class Attack:
    """A change of a sound model folder.

    Attributes:
        make: changes the folder; gets the sentinel too.
        said: a pattern of the error: what it names.
    """

    name: str
    make: Callable[[Path, Path], None]
    said: str


AUTO_TOKENIZER = {"AutoTokenizer": [f"{MODULE}.Tok", f"{MODULE}.Tok"]}
AUTO_MODEL = {"AutoConfig": f"{MODULE}.Cfg", "AutoModelForCausalLM": f"{MODULE}.Lm"}


def _asks(name: str, file: str, *keys: str, value: Any) -> Attack:
    """A folder with code beside the model, and a field that asks for it."""

    def make(folder: Path, sentinel: Path) -> None:
        write_code(folder, sentinel)
        change(folder / file, *keys, value=value)

    field = r"\.".join(keys)
    return Attack(name, make, rf"{file}, field '{field}.*': the field asks for code")


def _tokenizer_class(folder: Path, sentinel: Path) -> None:
    change(folder / "tokenizer_config.json", "tokenizer_class", value="Tok")
    _asks("", "tokenizer_config.json", "auto_map", value=AUTO_TOKENIZER).make(folder, sentinel)


def _index(folder: Path, sentinel: Path) -> None:
    write_pickle(folder.parent / "outside.safetensors", sentinel)
    change(
        folder / "model.safetensors.index.json", "weight_map", value={"a.weight": "../outside.safetensors"}
    )


def _disguised(folder: Path, sentinel: Path) -> None:
    for file in folder.glob("*.safetensors"):
        write_pickle(file, sentinel)


def _header(folder: Path, sentinel: Path) -> None:
    for file in folder.glob("*.safetensors"):
        file.write_bytes((2**62).to_bytes(8, "little") + b"{" * 100)


def _deep(folder: Path, sentinel: Path) -> None:
    (folder / "generation_config.json").write_text('{"a":' * 100_000 + "1" + "}" * 100_000)


def _huge(folder: Path, sentinel: Path) -> None:
    _hole(folder / "generation_config.json")


def _hole(file: Path) -> None:
    """A file of a terabyte that takes no room."""
    with open(file, "w") as opened:
        opened.truncate(2**40)


def _link(folder: Path, sentinel: Path) -> None:
    (folder.parent / "secret.txt").write_text("a key")
    (folder / "merges.txt").symlink_to(folder.parent / "secret.txt")


def _gguf(folder: Path, sentinel: Path) -> None:
    write_pickle(folder / "model.gguf", sentinel)


COMMON = (
    Attack("a class of a tokenizer", _tokenizer_class, r"tokenizer_config\.json, field 'auto_map"),
    _asks("the config's auto_map", "config.json", "auto_map", value=AUTO_MODEL),
    _asks("an auto_map of a part", "config.json", "vision_config", "auto_map", value=AUTO_MODEL),
    _asks("a processor's auto_map", "processor_config.json", "auto_map", value={"AutoProcessor": "evil.A"}),
    _asks("a trust in the tokenizer's config", "tokenizer_config.json", "trust_remote_code", value=True),
    _asks("a trust as text", "generation_config.json", "a", "trust_remote_code", value="false"),
    _asks("a pipeline of its own", "config.json", "custom_pipelines", value={"x": {"impl": "evil.Tok"}}),
    _asks("a kernel of the hub", "config.json", "attn_implementation", value="someone/kernel"),
    Attack("an index that leads out", _index, r"index\.json, field 'weight_map\.a\.weight'.*outside"),
    Attack("a pickle named safetensors", _disguised, r"\.safetensors: the file is no safetensors file"),
    Attack("a header of four exabytes", _header, r"\.safetensors: the file is no safetensors file"),
    Attack("JSON nested deeply", _deep, r"generation_config\.json: the JSON is nested too deeply"),
    Attack("JSON without end", _huge, r"generation_config\.json: the file is larger than such a file"),
    Attack("a template without end", lambda folder, _: _hole(folder / "a.jinja"), r"a\.jinja: .* is larger"),
    Attack("words without end", lambda folder, _: _hole(folder / "vocab.txt"), r"vocab\.txt: .* is larger"),
    Attack("a pipe", lambda folder, _: os.mkfifo(folder / "a.jinja"), r"a\.jinja: it is no regular file"),
    Attack("a link that leads out", _link, r"merges\.txt: the link leads out of the model's folder"),
    Attack("a pickle named gguf", _gguf, r"model\.gguf: the file is no GGUF file"),
)  # fmt: skip


def _kwargs(folder: Path, sentinel: Path) -> None:
    _tokenizer_class(folder, sentinel)
    keys = ("model_cfg", "text_cfg", "tokenizer_kwargs", "trust_remote_code")
    change(folder / "open_clip_config.json", *keys, value=True)


def _other_model(folder: Path, sentinel: Path) -> None:
    other = folder.parent / "other"
    other.mkdir()
    _asks("", "config.json", "auto_map", value=AUTO_MODEL).make(other, sentinel)
    change(folder / "open_clip_config.json", "model_cfg", "text_cfg", "hf_model_name", value=str(other))


def _pickle_only(folder: Path, sentinel: Path) -> None:
    for file in folder.glob("*.safetensors"):
        file.unlink()
    write_pickle(folder / "open_clip_pytorch_model.bin", sentinel)


OF_VLMS = (
    *COMMON,
    Attack("tokenizer_kwargs that trust", _kwargs, r"open_clip_config\.json, field '.*trust_remote_code'"),
    Attack("a text tower elsewhere", _other_model, r"field 'model_cfg\.text_cfg\.hf_model_name'.*leads out"),
    Attack("pickled weights", _pickle_only, r"open_clip_pytorch_model\.bin: .*pickled.*Convert them"),
)


def _pickled_adapter(folder: Path, sentinel: Path) -> None:
    write_pickle(folder / "adapter_model.bin", sentinel)


OF_LLMS = COMMON
PICKLED_ADAPTER = Attack(
    "a pickled adapter", _pickled_adapter, r"adapter_model\.bin: .*pickled.*Convert them"
)


def to_hub(folder: Path, cache: Path, name: str) -> None:
    """Put a model into the local copy of the hub, as huggingface_hub lays it out: links to blobs."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("0" * 40)
    for number, file in enumerate(sorted(folder.iterdir())):
        blob = repository / "blobs" / f"{number:064x}"
        shutil.copyfile(file, blob)
        (snapshot / file.name).symlink_to(f"../../blobs/{blob.name}")
    absent = repository / ".no_exist" / snapshot.name  # what the hub was asked for and does not have
    absent.mkdir(parents=True)
    for missing in ("config.json", "open_clip_model.safetensors"):
        if not (snapshot / missing).exists():
            (absent / missing).touch()


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy of a sound model folder, which the module's fixture `sound` makes; attacks change it."""
    return Path(shutil.copytree(sound, tmp_path / "model"))


@pytest.fixture
def sentinel(tmp_path: Path) -> Path:
    return tmp_path / "it-ran"


@pytest.fixture(autouse=True)
def says_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers asks on the terminal whether to run code: whoever answers there says yes."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 100))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty local copy of the hub; the hub itself cannot be reached."""
    cache = tmp_path / "hub"
    cache.mkdir()
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", str(cache), raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)  # vLLM sets it in the process of its model
    return cache
