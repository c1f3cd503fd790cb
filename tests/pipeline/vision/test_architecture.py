"""A model's architecture belongs to its identity, however its config writes it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from pipeline.base.params import VlmParams
from pipeline.vision.architecture import architecture_hash
from pipeline.vision.vlm import Vlm, load_vlm
from tests.trainer.tiny import make_vlm_folder

Config = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_vlm_folder(tmp_path_factory.mktemp("vlm") / "tiny")


def _load(model: str, pretrained: str | None = None) -> Vlm:
    return load_vlm(VlmParams(model=model, pretrained=pretrained, precision="fp32"), "cpu")


def _changed(folder: Path, copy: Path, change: Callable[[Config], object]) -> tuple[Vlm, Vlm]:
    """The model before and after a change of its `model_cfg`, in the same place."""
    shutil.copytree(folder, copy)
    before, file = _load(f"local-dir:{copy}"), copy / "open_clip_config.json"
    config = json.loads(file.read_text())
    change(config["model_cfg"])
    file.write_text(json.dumps(config))
    return before, _load(f"local-dir:{copy}")


@pytest.mark.parametrize(
    ("change", "encoder"),
    [
        (lambda config: config["vision_cfg"].update(head_width=8), "image"),
        (lambda config: config["text_cfg"].update(heads=4), "text"),
        (lambda config: config["text_cfg"].update(no_causal_mask=True), "text"),
        (lambda config: config.update(quick_gelu=True), "image"),
    ],
    ids=["head_width", "heads", "no_causal_mask", "quick_gelu"],
)
def test_another_architecture_with_the_same_weights_is_another_model(
    folder: Path, tmp_path: Path, change: Callable[[Config], object], encoder: str
) -> None:
    before, after = _changed(folder, tmp_path / "copy", change)
    assert {name for name in before.identity if before.identity[name] != after.identity[name]} == {
        "architecture"
    }
    given = torch.rand(2, 3, 32, 32) if encoder == "image" else before.tokenize(["a red car .", "the pool"])
    with torch.inference_mode():
        one, other = (getattr(vlm.model, f"encode_{encoder}")(given) for vlm in (before, after))
    assert not torch.allclose(one, other, atol=1e-4)


def _spelled_out(config: Config) -> None:
    """Keys in another order, defaults named, whole numbers as floats."""
    config["custom_text"] = config["quick_gelu"] = False
    config["vision_cfg"] |= {"mlp_ratio": 4, "patch_dropout": 0, "timm_model_name": None}
    config["text_cfg"] |= {"mlp_ratio": 4, "no_causal_mask": False, "hf_model_pretrained": False}
    for section in (config["vision_cfg"], config["text_cfg"], config):
        for name in sorted(section, reverse=True):
            section[name] = section.pop(name)


def test_the_same_architecture_written_otherwise_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    before, after = _changed(folder, tmp_path / "copy", _spelled_out)
    assert before.identity == after.identity


def test_a_named_model_has_the_architecture_that_open_clip_lists(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    config["text_cfg"] = {"width": 32, "heads": 2, "layers": 1}
    weights = tmp_path / "weights.safetensors"
    save_file(open_clip.CLIP(**config).state_dict(), weights)
    found = []
    for width in (16, 8):
        config["vision_cfg"]["head_width"] = width
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-model", config)
        found.append(_load("tiny/model", str(weights)).identity)
        assert found[-1]["architecture"] == architecture_hash(open_clip.CLIP, config)
    assert found[0]["architecture"] != found[1]["architecture"]
    assert found[0]["weights_sha256"] == found[1]["weights_sha256"]


def test_every_model_of_open_clip_has_an_architecture() -> None:
    configs = {name: open_clip.get_model_config(name) for name in open_clip.list_models()}
    found = {
        name: architecture_hash(open_clip.CoCa if "multimodal_cfg" in config else open_clip.CLIP, config)
        for name, config in configs.items()
    }
    assert found["ViT-B-32"] != found["ViT-B-32-quickgelu"]
    assert len(set(found.values())) > 0.9 * len(found)
