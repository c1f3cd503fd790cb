"""A VLM folder, or a model of the hub, is data: nothing in it runs, wherever it asks for that."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from pipeline.base.errors import UserError
from pipeline.base.params import VlmParams
from pipeline.vision.vlm import load_tokenizer, load_vlm, no_remote_code
from tests.hostile import (
    AUTO_MODEL,
    AUTO_TOKENIZER,
    OF_VLMS,
    Attack,
    change,
    folder,
    hub,
    says_yes,
    sentinel,
    to_hub,
    write_code,
    write_pickle,
)
from tests.trainer.tiny import make_vlm_folder

__all__ = ["folder", "hub", "says_yes", "sentinel"]


def _params(model: str, trusted: bool = False) -> VlmParams:
    return VlmParams(model=model, pretrained=None, precision="fp32", trust_remote_code=trusted)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_vlm_folder(tmp_path_factory.mktemp("vlm") / "tiny")


@pytest.mark.parametrize("attack", OF_VLMS, ids=lambda attack: attack.name)
def test_a_folder_that_asks_for_code_is_refused(attack: Attack, folder: Path, sentinel: Path) -> None:
    attack.make(folder, sentinel)
    for load in (load_tokenizer, load_vlm):
        with pytest.raises(UserError, match=attack.said):
            load(_params(f"local-dir:{folder}"))
    assert not sentinel.exists()


def test_the_attack_is_real_and_trust_allows_it(folder: Path, sentinel: Path) -> None:
    write_code(folder, sentinel)
    change(folder / "tokenizer_config.json", "auto_map", value=AUTO_TOKENIZER)
    change(folder / "tokenizer_config.json", "tokenizer_class", value="Tok")
    tokenizer = load_tokenizer(_params(f"local-dir:{folder}", trusted=True))
    assert sentinel.exists()
    assert type(tokenizer._tokenizer.tokenizer).__module__.endswith("evil")


def test_pickles_beside_the_weights_are_not_opened(folder: Path, sentinel: Path) -> None:
    for name in ("open_clip_pytorch_model.bin", "training_args.bin", "optimizer.pt", "model.pth", "a.pkl"):
        write_pickle(folder / name, sentinel)
    load_vlm(_params(f"local-dir:{folder}"), "cpu")
    assert not sentinel.exists()


def test_a_text_tower_in_the_working_folder_runs_no_code(
    folder: Path, sentinel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """open_clip passes no word on trust for a text tower, so transformers would ask on the terminal."""
    other = folder.parent / "tower"
    other.mkdir()
    write_code(other, sentinel)
    change(other / "config.json", "auto_map", value=AUTO_MODEL)
    change(folder / "open_clip_config.json", "model_cfg", "text_cfg", "hf_model_name", value="tower")
    monkeypatch.chdir(folder.parent)
    with pytest.raises(UserError, match="cannot load the model"):
        load_vlm(_params(f"local-dir:{folder}"), "cpu")
    assert not sentinel.exists()


def test_even_an_argument_that_trusts_runs_no_code(folder: Path, sentinel: Path) -> None:
    """The second wall: what a check of the files may overlook."""
    from transformers import AutoTokenizer

    write_code(folder, sentinel)
    change(folder / "tokenizer_config.json", "auto_map", value=AUTO_TOKENIZER)
    with no_remote_code(), pytest.raises(UserError, match=r"vlm\.trust_remote_code"):
        AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    assert not sentinel.exists()


def _hub_ready(folder: Path, name: str) -> None:
    """A hub model's tokenizer is another repository of the hub, here the model itself."""
    change(folder / "open_clip_config.json", "model_cfg", "text_cfg", "hf_tokenizer_name", value=name)


def test_a_sound_model_of_the_hub_loads(folder: Path, hub: Path) -> None:
    _hub_ready(folder, "someone/model")
    to_hub(folder, hub, "someone/model")
    assert load_vlm(_params("hf-hub:someone/model"), "cpu").dimension == 16


@pytest.mark.parametrize("name", ["tokenizer_kwargs that trust", "a class of a tokenizer"])
def test_a_model_of_the_hub_that_asks_for_code_is_refused(
    name: str, folder: Path, sentinel: Path, hub: Path
) -> None:
    attack = next(attack for attack in OF_VLMS if attack.name == name)
    attack.make(folder, sentinel)
    _hub_ready(folder, "someone/model")
    to_hub(folder, hub, "someone/model")
    for load in (load_tokenizer, load_vlm):
        with pytest.raises(UserError, match=r"\.json, field '.*': the field asks for code"):
            load(_params("hf-hub:someone/model"))
    assert not sentinel.exists()


def test_a_hub_models_tokenizer_in_another_repository_runs_no_code(
    folder: Path, sentinel: Path, hub: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    write_code(other, sentinel)
    change(other / "tokenizer_config.json", "auto_map", value=AUTO_TOKENIZER)
    change(other / "tokenizer_config.json", "tokenizer_class", value="Tok")
    to_hub(other, hub, "someone/tokenizer")
    _hub_ready(folder, "someone/tokenizer")
    to_hub(folder, hub, "someone/model")
    with pytest.raises(UserError):
        load_tokenizer(_params("hf-hub:someone/model"))
    assert not sentinel.exists()


@pytest.mark.parametrize("how", ["at once", "after an error"])
@pytest.mark.parametrize("variable", [None, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TRUST_REMOTE_CODE"])
def test_a_pickle_of_the_hub_is_not_unpickled(
    how: str, variable: str | None, folder: Path, sentinel: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch's reader of tensors knows no other objects. open_clip tries again after a `TypeError`."""
    (folder / "open_clip_model.safetensors").unlink()
    file = folder / "open_clip_pytorch_model.bin"
    write_pickle(file, sentinel)
    if how == "after an error":
        _stumble(file, sentinel)
    if variable is not None:
        monkeypatch.setenv(variable, "1")
    _hub_ready(folder, "someone/model")
    to_hub(folder, hub, "someone/model")
    with pytest.raises(UserError, match="cannot load the model"):
        load_vlm(_params("hf-hub:someone/model"), "cpu")
    assert not sentinel.exists()


def _stumble(file: Path, sentinel: Path) -> None:
    """A checkpoint in PyTorch's older format, over which the reader of tensors ends with a `TypeError`."""
    command = f"touch {sentinel}".encode()
    odd_state = b"ccollections\nOrderedDict\n)RN}\x86b0"  # to Python's own reader it is none
    call = b"cos\nsystem\n(X" + len(command).to_bytes(4, "little") + command + b"tR."
    head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    file.write_bytes(head + b"\x80\x02" + odd_state + call)


@pytest.mark.parametrize("custom_text", [False, True])
def test_a_tokenizer_without_a_pad_token_pads_as_its_tower_says(custom_text: bool, tmp_path: Path) -> None:
    folder = make_vlm_folder(tmp_path / "model", custom_text=custom_text)
    texts = ["a red car", "make the roof blue ."]
    vlm = load_vlm(_params(f"local-dir:{folder}"), "cpu")
    tokens, features = vlm.tokenize(texts), vlm.model.encode_text(vlm.tokenize(texts))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    bare = load_vlm(_params(f"local-dir:{folder}"), "cpu")
    assert torch.equal(bare.tokenize(texts), tokens)  # the tower's pad_id is 0, as this tokenizer's was
    assert torch.equal(bare.model.encode_text(bare.tokenize(texts)), features)
    assert bare.tokenizer.count(texts) == vlm.tokenizer.count(texts)


def test_a_pad_id_that_is_no_token_is_said_before_anything_runs(folder: Path) -> None:
    change(folder / "open_clip_config.json", "model_cfg", "text_cfg", "pad_id", value=10**6)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["pad_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"tokenizer.*pad_token"):
        load_tokenizer(_params(f"local-dir:{folder}"))
