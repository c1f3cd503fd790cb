import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.base import files
from pipeline.base.errors import UserError
from pipeline.base.files import identity_hash
from pipeline.base.params import LlmParams, load_params
from pipeline.llm.identity import model_identity
from pipeline.llm.model_files import check_llm_files
from tests.pipeline.corpus.annotated import POINTER

ROOT = Path(__file__).parents[3]


def _params(**changes: Any) -> LlmParams:
    return load_params(ROOT / "params.yaml").llm.model_copy(update=changes)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"):
        (folder / name).write_text(name)
    (folder / "README.md").write_text("a card")
    return folder


def _hash(model: Path, **changes: Any) -> str:
    return identity_hash(model_identity(_params(model=str(model), **changes), model.parent / "cache"))


def test_a_folder_is_known_by_what_it_holds_not_where_it_lies(model: Path, tmp_path: Path) -> None:
    before = _hash(model)
    (model / "README.md").write_text("another card")
    moved = model.rename(tmp_path / "moved")
    assert _hash(moved) == before


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"]
)
def test_every_file_that_matters_matters(model: Path, name: str) -> None:
    before = _hash(model)
    (model / name).write_text("changed")
    assert _hash(model) != before


def test_engine_arguments_belong_to_the_model(model: Path) -> None:
    assert _hash(model, engine_args={"dtype": "float32"}) != _hash(model, engine_args={"dtype": "bfloat16"})


def test_a_chat_template_is_known_by_what_its_file_holds(model: Path, tmp_path: Path) -> None:
    template = tmp_path / "chat.jinja"
    template.write_text("{{ messages }}")
    first = _hash(model, engine_args={"chat_template": str(template)})
    assert (
        first == _hash(model, engine_args={"chat_template": "{{ messages }}"}) != _hash(model, engine_args={})
    )
    template.write_text("{{ messages[0] }}")
    assert _hash(model, engine_args={"chat_template": str(template)}) != first
    with pytest.raises(UserError, match=r"chat template cannot be read.*none\.jinja"):
        _hash(model, engine_args={"chat_template": "none.jinja"})
    template.write_text(POINTER)  # it would be the prompt of every row
    with pytest.raises(UserError, match="git lfs pull"):
        _hash(model, engine_args={"chat_template": str(template)})


def test_variables_of_the_template_belong_to_the_model(model: Path) -> None:
    variables = {"enable_thinking": False}
    given = model_identity(_params(model=str(model), chat_template_kwargs=variables), model.parent / "cache")
    assert given["engine_args"] == {"chat_template_kwargs": variables}  # where texts of old have them
    assert identity_hash(given) != _hash(model) == _hash(model, chat_template_kwargs={})


def test_a_revision_of_a_folder_is_refused() -> None:
    for changes, field in (
        ({"revision": "main"}, r"llm\.revision"),
        ({"engine_args": {"tokenizer_revision": "main"}}, r"llm\.engine_args\.tokenizer_revision"),
    ):
        with pytest.raises(UserError, match=rf"{field}'.*the folder .* has no revision \(got 'main'\)"):
            check_llm_files(_params(**changes), ROOT)


def test_a_lora_adapter_is_known_by_its_files(model: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_text("a")
    first = _hash(model, engine_args={"lora": str(adapter)})
    (adapter / "adapter_model.safetensors").write_text("b!")
    assert len({first, _hash(model, engine_args={"lora": str(adapter)}), _hash(model, engine_args={})}) == 3


def test_without_further_arguments_nothing_but_files_and_arguments_counts(model: Path) -> None:
    names = ("chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json")
    hashes = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    given = model_identity(_params(model=str(model), engine_args={"seed": 1}), model.parent / "cache")
    assert given == {"kind": "folder", "files": hashes, "engine_args": {"seed": 1}}


@pytest.mark.parametrize(
    ("argument", "name"), [("tokenizer", "tokenizer_config.json"), ("hf_config_path", "config.json")]
)
def test_a_folder_that_an_argument_names_is_known_by_its_files(
    model: Path, tmp_path: Path, argument: str, name: str
) -> None:
    folder = tmp_path / "further"
    folder.mkdir()
    (folder / name).write_text("{}")
    first = _hash(model, engine_args={argument: str(folder)})
    assert first != _hash(model, engine_args={})
    moved = folder.rename(tmp_path / "moved")
    assert _hash(model, engine_args={argument: str(moved)}) == first
    (moved / name).write_text('{"chat_template": "{{ messages }}"}')
    assert _hash(model, engine_args={argument: str(moved)}) != first
    with pytest.raises(UserError, match=rf"llm\.engine_args\.{argument}.*no such model folder"):
        _hash(model, engine_args={argument: str(folder)})


def test_a_tokenizer_of_the_hub_is_known_by_its_commit(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    arguments = {"tokenizer": "someone/some-model", "tokenizer_revision": "v1"}
    first = _hash(model, engine_args=arguments)
    reference = tmp_path / "models--someone--some-model/refs/v1"
    reference.parent.mkdir(parents=True)
    reference.write_text("abc123")
    assert _hash(model, engine_args=arguments) != first
    assert _hash(model, engine_args={**arguments, "tokenizer_revision": "v2"}) != first


def test_additional_chat_templates_belong_to_the_model(model: Path) -> None:
    hashes = {_hash(model)}
    folder = model / "additional_chat_templates"
    folder.mkdir()
    hashes.add(_hash(model))
    assert len(hashes) == 1
    for name in ("default.jinja", "chat_template.jinja"):
        for text in ("{{ messages }}", "{{ messages[0] }}"):
            (folder / name).write_text(text)
            hashes.add(_hash(model))
    assert len(hashes) == 5


def test_weights_are_hashed_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _hash(model)

    def refuse(path: Path) -> str:
        raise AssertionError(f"{path} is hashed again")

    monkeypatch.setattr(files, "sha256_file", refuse)
    assert _hash(model) == before
    os.utime(model / "model.safetensors", (1, 1))
    with pytest.raises(AssertionError, match=r"model\.safetensors"):
        _hash(model)


def test_a_hub_model_is_known_by_the_commit_of_its_local_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    params = _params(model="someone/some-model", revision=None)
    assert model_identity(params, tmp_path / "cache")["revision"] == "main"
    reference = tmp_path / "models--someone--some-model/refs/main"
    reference.parent.mkdir(parents=True)
    reference.write_text("abc123")
    assert model_identity(params, tmp_path / "cache")["revision"] == "abc123"


def test_pickled_weights_are_refused(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        _hash(model)


def test_a_damaged_note_of_hashes_is_written_anew(model: Path) -> None:
    before = _hash(model)
    (model.parent / "cache/file_hashes.json").write_text("{")
    assert _hash(model) == before
    assert json.loads((model.parent / "cache/file_hashes.json").read_text())


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_pointer_of_git_lfs_is_named(model: Path, name: str) -> None:
    (model / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(UserError, match=rf"{name}: the file is a git-LFS pointer.*git lfs pull"):
        _hash(model)
