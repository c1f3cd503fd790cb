"""A tuned folder may come from others: its readers run nothing of it, and its card says what is trusted."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, write_json
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.vision.texts import Texts
from pipeline.vision.vlm import load_tokenizer, load_vlm
from stages import evaluate
from tests.hostile import AUTO_TOKENIZER, OF_VLMS, Attack, change, write_code
from trainer.benchmarks import measure
from trainer.tuning.folder import CARD_NAME, RECORD_NAME, content_hashes, model_card, save_tuned

ATTACKS = [attack for attack in OF_VLMS if attack.name in ("a class of a tokenizer", "pickled weights")]


def _record(source: dict[str, Any]) -> dict[str, Any]:
    names = {"weights": dict.fromkeys(("triplet", "language", "pseudo_caption"), 0.0), "validation": {}}
    return {
        **names, "mixture": dict.fromkeys(("image", "text", "graph"), 0.0), "untuned": {}, "source": source,
        "dataset": "tiny", "seed": 0, "tune": {}, "versions": {}, "temperature": 1.0, "best_epoch": 0,
        "made_from": {"method.choose": "fixed"},
    }  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_readers_of_a_tuned_folder_refuse_code(
    attack: Attack, tmp_path: Path, make_params: Callable[..., Params]
) -> None:
    params, sentinel = make_params(), tmp_path / "it-ran"
    vlm = load_vlm(params.vlm, "cpu")
    paths = Paths(tmp_path)
    save_tuned(paths.tuned("tiny"), vlm, params.vlm, _record(vlm.identity), "")
    attack.make(paths.tuned("tiny"), sentinel)
    record = read_json(paths.tuned("tiny") / RECORD_NAME, "")
    said = {name: value for name, value in record.items() if name != "content"}
    hashes = content_hashes(paths.tuned("tiny"), said)  # whoever sends the folder makes these fit
    write_json(paths.tuned("tiny") / RECORD_NAME, {**said, "content": hashes})
    with pytest.raises(UserError, match=attack.said):
        evaluate._tuned_features(params, paths, "tiny", [], Texts.of(vlm, ["a"]))
    with pytest.raises(UserError, match=attack.said):
        measure.load_tuned(params, paths.tuned("tiny"), vlm)
    assert not sentinel.exists()


def test_a_tuned_folder_of_a_trusted_model_brings_the_code_and_says_so(
    tmp_path: Path, vlm_folder: Path, make_params: Callable[..., Params]
) -> None:
    folder, sentinel = Path(shutil.copytree(vlm_folder, tmp_path / "model")), tmp_path / "it-ran"
    write_code(folder, sentinel)
    change(folder / "tokenizer_config.json", "auto_map", value=AUTO_TOKENIZER)
    change(folder / "tokenizer_config.json", "tokenizer_class", value="Tok")
    params = make_params(
        vlm={"model": f"local-dir:{folder}", "pretrained": None, "trust_remote_code": True}
    ).vlm
    vlm = load_vlm(params, "cpu")
    assert vlm.identity["trust_remote_code"] is True
    tuned = tmp_path / "tuned"
    save_tuned(tuned, vlm, params, _record(vlm.identity), model_card(_record(vlm.identity)))
    assert "trust_remote_code: true, so loading" in (tuned / CARD_NAME).read_text()
    again = params.model_copy(update={"model": f"local-dir:{tuned}"})
    assert torch.equal(load_tokenizer(again)(["a red car"]), vlm.tokenize(["a red car"]))
    with pytest.raises(UserError, match=r"vlm\.trust_remote_code"):
        load_tokenizer(again.model_copy(update={"trust_remote_code": False}))


def test_a_card_speaks_of_trust_and_of_choice_only_if_there_was_some(
    make_params: Callable[..., Params],
) -> None:
    vlm = load_vlm(make_params().vlm, "cpu")
    assert "trust_remote_code" not in vlm.identity
    card = model_card(_record(vlm.identity))
    assert "trust" not in card and "\nStated in `params.yaml`, not chosen. Temperature" in card
