"""Loading, identity, tokenizer and text features of a VLM, on a tiny random open_clip folder."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from pipeline.base.errors import UserError
from pipeline.base.files import sha256_file
from pipeline.base.params import VlmParams
from pipeline.vision.source import locate, offline
from pipeline.vision.texts import encode_texts, text_features, token_lengths
from pipeline.vision.vlm import load_tokenizer, load_vlm, resolve_device
from tests.trainer.tiny import CONTEXT, make_vlm_folder

RSICD = Path(__file__).parents[4] / "shared/rsicd-vlm"
TEXTS = ["a red car", "make the roof blue .", "a", "a red car", "tree " * 40, "the white boat"]


def _params(model: str, pretrained: str | None = None) -> VlmParams:
    return VlmParams(model=model, pretrained=pretrained, precision="fp32")


@pytest.fixture(scope="module", params=[False, True], ids=["clip", "custom_text"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_vlm_folder(tmp_path_factory.mktemp("vlm") / "tiny", custom_text=request.param)


def test_a_local_folder_is_loaded_relative_to_the_root(folder: Path) -> None:
    vlm = load_vlm(_params(f"local-dir:{folder.name}"), "cpu", folder.parent)
    assert vlm.dimension == 16
    assert vlm.context_length == CONTEXT
    assert not vlm.model.training
    assert vlm.tokenize(TEXTS).shape == (len(TEXTS), CONTEXT)
    identity = vlm.identity
    assert identity["model"] == f"local-dir:{folder.name}"
    assert identity["weights_sha256"] == sha256_file(folder / "open_clip_model.safetensors")
    assert "0.5" in identity["preprocessing"] and "32" in identity["preprocessing"]
    assert json.loads(json.dumps(identity)) == identity


def test_cut_rows_give_the_features_of_whole_rows(folder: Path) -> None:
    vlm = load_vlm(_params(f"local-dir:{folder}"), "cpu")
    tokens = vlm.tokenize(TEXTS)
    lengths = token_lengths(vlm.model, tokens)
    assert lengths.tolist() == [min(n, CONTEXT) for n in vlm.tokenizer.count(TEXTS)]
    with torch.no_grad():
        whole = vlm.model.encode_text(tokens, normalize=True)
        for row, length in enumerate(lengths.tolist()):
            cut = text_features(vlm.model, tokens[row : row + 1, :length])
            torch.testing.assert_close(cut[0], whole[row], atol=1e-6, rtol=1e-5)
    features = encode_texts(vlm, TEXTS, batch=2)
    torch.testing.assert_close(features, whole, atol=1e-6, rtol=1e-5)
    assert torch.equal(features[0], features[3])


def test_gradients_flow_through_cut_rows(folder: Path) -> None:
    vlm = load_vlm(_params(f"local-dir:{folder}"), "cpu")
    tokens = vlm.tokenize(["a red car"])
    text_features(vlm.model, tokens[:, :5]).sum().backward()
    tower = vlm.model.text if hasattr(vlm.model, "text") else vlm.model
    used = tower.positional_embedding.grad.abs().sum(1) > 0
    assert used.tolist() == [True] * 5 + [False] * (CONTEXT - 5)


def test_a_tower_that_sees_the_whole_row_is_not_cut(tmp_path: Path) -> None:
    folder = make_vlm_folder(tmp_path / "tiny", custom_text=True)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["no_causal_mask"] = True
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    vlm = load_vlm(_params(f"local-dir:{folder}"), "cpu")
    tokens = vlm.tokenize(TEXTS)
    assert token_lengths(vlm.model, tokens).tolist() == [CONTEXT] * len(TEXTS)
    with torch.no_grad():
        torch.testing.assert_close(
            encode_texts(vlm, TEXTS, 4), vlm.model.encode_text(tokens, normalize=True), atol=1e-6, rtol=1e-5
        )


def test_no_texts_are_no_features(folder: Path) -> None:
    vlm = load_vlm(_params(f"local-dir:{folder}"), "cpu")
    assert encode_texts(vlm, [], 4).shape == (0, 16)
    assert vlm.tokenizer.count([]) == []


def test_the_tokenizer_counts_uncut_without_the_model(folder: Path) -> None:
    tokenizer = load_tokenizer(_params(f"local-dir:{folder}"))
    assert tokenizer.context_length == CONTEXT
    assert tokenizer.count(["a red car", "tree " * 40]) == [5, 42]


def test_open_clips_own_tokenizer_counts_start_and_end(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.touch()
    tokenizer = load_tokenizer(_params("ViT-B-32", str(weights)))
    texts = ["a photo of a harbor", "boats " * 90]
    tokens = tokenizer(texts)
    assert tokenizer.count(texts)[0] == int(tokens[0].argmax()) + 1
    assert tokenizer.count(texts)[1] == 92 > tokenizer.context_length


def test_a_preprocessed_image_has_the_models_size(folder: Path) -> None:
    from PIL import Image

    vlm = load_vlm(_params(f"local-dir:{folder}"), "cpu")
    assert vlm.preprocess(Image.new("L", (50, 40))).shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("model", "pretrained", "field", "said"),
    [
        ("local-dir:absent", None, "vlm.model", "no such model folder"),
        ("local-dir:empty", None, "vlm.model", "no open_clip_config.json"),
        ("local-dir:empty", "openai", "vlm.pretrained", "brings its own weights"),
        ("hf-hub:someone/model", "openai", "vlm.pretrained", "brings its own weights"),
        ("ViT-B-32", None, "vlm.pretrained", "needs pretrained weights"),
        ("ViT-B-32", "absent.safetensors", "vlm.pretrained", "no such weights file"),
        ("ViT-B-33", "openai", "vlm.model", "knows no such model"),
        ("ViT-B-33", None, "vlm.model", "knows no such model"),
        ("tests/pipeline", None, "vlm.model", "Did you mean 'local-dir:tests/pipeline'"),
        ("ViT-B-32", "opnai", "vlm.pretrained", "no such weights"),
    ],
)
def test_what_is_not_there_is_one_line(
    model: str, pretrained: str | None, field: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=said) as caught:
        load_vlm(_params(model, pretrained), "cpu", tmp_path)
    assert caught.value.problem.field == field
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = make_vlm_folder(tmp_path / "tiny")
    (folder / "open_clip_model.safetensors").rename(folder / "open_clip_pytorch_model.bin")
    with pytest.raises(UserError, match="pickled"):
        locate(_params(f"local-dir:{folder}"))
    (folder / "model.safetensors").touch()  # open_clip would still prefer the pickle
    with pytest.raises(UserError, match="pickled"):
        locate(_params(f"local-dir:{folder}"))


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_broken_config_is_named(text: str, tmp_path: Path) -> None:
    folder = make_vlm_folder(tmp_path / "tiny")
    (folder / "open_clip_config.json").write_text(text)
    with pytest.raises(UserError, match=r"open_clip_config\.json"):
        load_tokenizer(_params(f"local-dir:{folder}"))


def test_weights_of_another_model_are_one_line(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    folder = make_vlm_folder(tmp_path / "tiny")
    save_file({"logit_scale": torch.ones([])}, folder / "open_clip_model.safetensors")
    with pytest.raises(UserError, match="cannot load the model"):
        load_vlm(_params(f"local-dir:{folder}"), "cpu")


def test_weights_that_are_no_safetensors_are_one_line(tmp_path: Path) -> None:
    folder = make_vlm_folder(tmp_path / "tiny")
    (folder / "open_clip_model.safetensors").write_bytes(b"\xff" * 4096)
    with pytest.raises(UserError, match="is no safetensors file"):
        load_vlm(_params(f"local-dir:{folder}"), "cpu")


def test_offline_lasts_only_as_long_as_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants as constants

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with offline(True):
        assert constants.HF_HUB_OFFLINE and os.environ["HF_HUB_OFFLINE"] == "1"
    assert not constants.HF_HUB_OFFLINE and "HF_HUB_OFFLINE" not in os.environ


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said() -> None:
    assert resolve_device("auto") == "cpu"
    with pytest.raises(UserError, match="no CUDA device"):
        resolve_device("cuda")


@pytest.mark.skipif(not RSICD.is_dir(), reason="the real model is not on this machine")
def test_a_model_of_others_is_cut_alike() -> None:
    vlm = load_vlm(_params(f"local-dir:{RSICD}"), "cpu")
    texts = ["many green trees are around a pond", "an airport", "a " * 200]
    assert vlm.tokenizer.count(texts)[2] > vlm.context_length == 77
    with torch.no_grad():
        whole = vlm.model.encode_text(vlm.tokenize(texts), normalize=True)
    torch.testing.assert_close(encode_texts(vlm, texts, 8), whole, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "open_clip_config.json", "tokenizer.json"])
def test_a_pointer_of_git_lfs_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(UserError, match=rf"{name}: the file is a git-LFS pointer.*git lfs pull"):
        load_tokenizer(_params(f"local-dir:{copy}"))
    weights = copy / "open_clip_model.safetensors"
    if name == weights.name:
        with pytest.raises(UserError, match="git-LFS pointer"):
            locate(_params("ViT-B-32", str(weights)))
