import copy

import pytest
import torch

from pipeline.base.errors import UserError
from pipeline.base.params import VlmParams
from pipeline.vision.vlm import load_vlm
from tests.trainer.tiny import make_vlm_folder
from trainer.tuning.trainable import merge_adapters, parameter_groups, select_trainable


@pytest.fixture(scope="module", params=[False, True], ids=["clip", "custom_text"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> object:
    folder = make_vlm_folder(tmp_path_factory.mktemp("m") / "vlm", custom_text=request.param)
    return load_vlm(VlmParams(model=f"local-dir:{folder}", pretrained=None, precision="fp32"), "cpu").model


def _names(model: object, trainable: str) -> set[str]:
    return {name.removeprefix("text.") for name in select_trainable(model, trainable)}


def test_all_is_the_text_tower_and_nothing_else(model) -> None:  # type: ignore[no-untyped-def]
    chosen = select_trainable(model, "all")
    assert not any(name.startswith(("visual.", "logit")) for name in chosen)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == set(chosen)
    others = {name for name, _ in model.named_parameters()} - set(chosen)
    assert all(name.startswith(("visual.", "logit_")) for name in others)


def test_last_blocks_are_those_at_the_end(model) -> None:  # type: ignore[no-untyped-def]
    one, two = _names(model, "last:1"), _names(model, "last:2")
    assert {name.split(".")[2] for name in one if "resblocks" in name} == {"1"}
    assert {name.split(".")[2] for name in two if "resblocks" in name} == {"0", "1"}
    assert {"ln_final.weight", "text_projection"} <= one < two
    assert not any("embedding" in name for name in two)


def test_more_blocks_than_there_are_is_an_error(model) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match=r"tune\.trainable.*2 blocks.*last:3"):
        select_trainable(model, "last:3")


def test_adapters_start_at_nothing_and_merge_into_plain_matrices(model) -> None:  # type: ignore[no-untyped-def]
    model = copy.deepcopy(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    chosen = select_trainable(model, "lora:2")
    assert chosen and all(name.endswith((".down", ".up")) for name in chosen)
    assert not any(name.startswith("visual.") for name in chosen)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == set(chosen)
    tokens = torch.randint(1, 9, (3, model.context_length))
    plain = model.encode_text(tokens)
    with torch.no_grad():
        for parameter in chosen.values():
            parameter += 0.1
    adapted = model.encode_text(tokens)
    assert not torch.allclose(plain, adapted, atol=1e-3)
    merge_adapters(model)
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert torch.allclose(model.encode_text(tokens), adapted, atol=1e-5)
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed and all("resblocks" in name and after[name].ndim == 2 for name in changed)


def test_norms_and_biases_do_not_decay(model) -> None:  # type: ignore[no-untyped-def]
    chosen = select_trainable(model, "all")
    decayed, free = parameter_groups(chosen, 0.1)
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert len(decayed["params"]) + len(free["params"]) == len(chosen)
    names = {id(parameter): name for name, parameter in chosen.items()}
    assert all("bias" in names[id(p)] or ".ln_" in "." + names[id(p)] for p in free["params"])
