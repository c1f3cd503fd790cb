# ruff: noqa: F401, F811 - fixtures are imported by their names
import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import open_clip
import pytest
import torch
from open_clip_train import zero_shot
from open_clip_train.train import get_clip_metrics
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from lempo.export import export_tuned
from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.metrics_io import write_metrics
from pipeline.base.params import Params, VlmParams
from pipeline.base.paths import Paths
from pipeline.base.schemas import QUERIES, RANKINGS
from pipeline.base.tables import read_table, write_table
from pipeline.vision.texts import encode_texts
from pipeline.vision.vlm import load_vlm
from stages import tune
from tests.belonging import sign, sign_rankings
from tests.described import disagreements
from tests.trainer.tiny import THINGS, make_params, project, vlm_folder
from trainer.tuning.folder import save_tuned
from trainer.tuning.record import RECORD
from trainer.tuning.result import CURVE

TEXTS = ["a red car.", "make the boat blue. a white boat.", "it"]
MakeParams = Callable[..., Params]


@pytest.fixture
def tuned(project: Paths, make_params: MakeParams) -> Paths:
    tune.run(make_params(), project, "tiny")
    return project


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def test_plain_open_clip_loads_the_tuned_folder(tuned: Paths, vlm_folder: Path) -> None:
    folder = tuned.tuned("tiny")
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    source, _, source_preprocess = open_clip.create_model_and_transforms(f"local-dir:{vlm_folder}")
    model.eval(), source.eval()
    with torch.no_grad():
        features = model.encode_text(tokenizer(TEXTS), normalize=True)
        untuned = source.encode_text(tokenizer(TEXTS), normalize=True)
        image = torch.rand(2, 3, 32, 32)
        assert torch.equal(model.encode_image(image), source.encode_image(image))
    assert not torch.allclose(features, untuned, atol=1e-3)
    assert repr(preprocess) == repr(source_preprocess)
    params = VlmParams(model=f"local-dir:{folder}", pretrained=None, precision="fp32")
    vlm = load_vlm(params, "cpu")
    assert torch.allclose(encode_texts(vlm, TEXTS, 2), features, atol=1e-5)
    record = json.loads((folder / "lempo.json").read_text())
    assert {name for name in vlm.identity if vlm.identity[name] != record["source"][name]} == {
        "model",
        "weights_sha256",
    }


def test_vision_weights_are_those_of_the_source_byte_for_byte(tuned: Paths, vlm_folder: Path) -> None:
    source = _tensors(vlm_folder / "open_clip_model.safetensors")
    saved = _tensors(tuned.tuned("tiny") / "open_clip_model.safetensors")
    assert saved.keys() == source.keys()
    vision = [name for name in source if name.startswith("visual.")]
    assert vision
    assert all(saved[name].dtype == source[name].dtype for name in vision)
    assert all(torch.equal(saved[name], source[name]) for name in vision)


def test_record_metrics_and_curve_agree(tuned: Paths) -> None:
    record = json.loads((tuned.tuned("tiny") / "lempo.json").read_text())
    metrics = json.loads(tuned.metrics("tune", "tiny").read_text())
    for key in ("weights", "mixture", "untuned"):
        assert metrics[key] == pytest.approx(record[key]) if key != "untuned" else metrics[key] == record[key]
    assert not disagreements(RECORD, record)
    assert all(record[name].keys() == {"weights", "mixture"} for name in ("untuned", "training"))
    assert record["validation"]["untuned"].keys() == record["validation"]["tuned"].keys()
    assert record["temperature"] == pytest.approx(metrics["temperature"], abs=1e-6)
    assert record["source"]["weights_sha256"]
    assert record["seed"] == 0
    assert metrics["epochs"] == 3
    assert metrics["missing_captions"] == {"train": 0, "val": 0}
    assert metrics["over_context"] == {"train": 0, "val": 0}
    with open(tuned.plots("tune", "tiny")) as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == CURVE.names
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    best = rows[metrics["best_epoch"]]
    for name, value in metrics["validation"]["tuned"].items():
        assert float(best[f"val_{name}"]) == pytest.approx(value)
    untuned, after = (metrics["validation"][key]["mean_recall"] for key in ("untuned", "tuned"))
    assert after >= untuned
    assert json.loads(tuned.summary("tune", "tiny").read_text()) == {"tiny": {"val_mean_recall": after}}


def test_the_same_inputs_give_the_same_bytes(tuned: Paths, make_params: MakeParams) -> None:
    files = [
        tuned.tuned("tiny") / "open_clip_model.safetensors",
        tuned.tuned("tiny") / "lempo.json",
        tuned.metrics("tune", "tiny"),
        tuned.plots("tune", "tiny"),
    ]
    before = [file.read_bytes() for file in files]
    assert not list(tuned.checkpoints.glob("*"))  # the checkpoint of a finished run is of no use
    tune.run(make_params(), tuned, "tiny")
    assert [file.read_bytes() for file in files] == before


def test_the_card_and_the_folder_for_a_hub(
    tuned: Paths, make_params: MakeParams, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = make_params()
    card = (tuned.tuned("tiny") / "README.md").read_text()
    assert "composed retrieval on `tiny`" in card and "validation, tuned" in card and "- epochs: 3" in card
    names = {file.name for file in tuned.tuned("tiny").iterdir()}
    assert {"open_clip_config.json", "open_clip_model.safetensors", "tokenizer.json", "lempo.json"} < names
    folder = tmp_path / "hub"
    with pytest.raises(UserError, match="metrics of this dataset are missing"):
        export_tuned(params, tuned, "tiny", folder)
    measures = dict.fromkeys(("R@1", "R@5", "R@10", "R@50", "mAP", "mean_recall"), 12.34)
    methods = ("hybrid", "hybrid_untuned", "image_plus_text")
    write_metrics(tuned.metrics("evaluate", "tiny"), dict.fromkeys(methods, measures))
    write_table([], tuned.rankings("tiny"), RANKINGS)
    sign_rankings(Expected(params, tuned), "tiny")
    export_tuned(params, tuned, "tiny", folder)
    assert {file.name for file in folder.iterdir()} == names
    assert "| test, `hybrid` | 12.3 |" in (folder / "README.md").read_text()
    open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    with pytest.raises(UserError, match="there already"):
        export_tuned(params, tuned, "tiny", folder)


def test_open_clips_own_zero_shot_and_retrieval_code_takes_it(tuned: Paths) -> None:
    folder = tuned.tuned("tiny")
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    classifier = open_clip.build_zero_shot_classifier(
        model.eval(), tokenizer, list(THINGS), [lambda name: f"a {name}."]
    )
    colours = torch.randint(256, (len(THINGS), 3), generator=torch.Generator().manual_seed(0))
    images = [preprocess(Image.new("RGB", (32, 32), tuple(rgb))) for rgb in colours.tolist()]
    loader = DataLoader(list(zip(images, range(len(THINGS)), strict=True)), batch_size=4)
    options = SimpleNamespace(device="cpu", precision="fp32", batch_size=4)
    first, fifth = zero_shot.run(model, classifier, loader, options)
    with torch.no_grad():
        seen = model.encode_image(torch.stack(images), normalize=True)
    ours = encode_texts(
        load_vlm(VlmParams(model=f"local-dir:{folder}", pretrained=None, precision="fp32"), "cpu"),
        [f"a {name}." for name in THINGS],
        batch=3,
    )
    order = (seen @ ours.T).argsort(1, descending=True)
    rank = (order == torch.arange(len(THINGS))[:, None]).int().argmax(1) + 1
    assert first == pytest.approx((rank <= 1).double().mean().item())
    assert fifth == pytest.approx((rank <= 5).double().mean().item())
    found = get_clip_metrics(seen, ours, model.logit_scale.exp().cpu())
    assert found["image_to_text_R@1"] == pytest.approx((rank <= 1).double().mean().item())
    assert found["image_to_text_mean_rank"] == pytest.approx(rank.double().mean().item())


def test_a_language_text_over_the_context_is_counted(project: Paths, make_params: MakeParams) -> None:
    rows = read_table(project.queries("tiny"), QUERIES).to_pylist()
    long = next(row for row in rows if row["split"] == "val")
    long["modification"] = "make the car blue " * 4
    write_table(rows, project.queries("tiny"), QUERIES)
    sign(make_params(), project, "tiny")
    tune.run(make_params(tune={"epochs": 0}), project, "tiny")
    assert json.loads(project.metrics("tune", "tiny").read_text())["over_context"] == {"train": 0, "val": 1}


def test_features_of_another_model_are_refused(project: Paths, make_params: MakeParams) -> None:
    manifest = project.features("tiny") / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"weights_sha256": "', '"weights_sha256": "0'))
    with pytest.raises(UserError, match="weights_sha256"):
        tune.run(make_params(), project, "tiny")


def test_a_split_without_queries_is_named(project: Paths, make_params: MakeParams) -> None:
    rows = read_table(project.queries("tiny"), QUERIES).to_pylist()
    write_table([row for row in rows if row["split"] != "val"], project.queries("tiny"), QUERIES)
    sign(make_params(), project, "tiny")
    with pytest.raises(UserError, match=r"pairs/tiny\.parquet.*split.*val"):
        tune.run(make_params(), project, "tiny")


def test_a_built_in_model_becomes_a_folder(tmp_path: Path) -> None:
    """A model that open_clip knows by name, weights in one file, the tokenizer open_clip's."""
    config = {
        "embed_dim": 16,
        "vision_cfg": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 32},
        "text_cfg": {"width": 32, "heads": 2, "layers": 1},
    }
    (tmp_path / "tiny-built-in.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "tiny-built-in.json")
    model = open_clip.create_model("tiny-built-in")
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, tmp_path / "weights.safetensors")
    params = VlmParams(model="tiny-built-in", pretrained="weights.safetensors", precision="fp32")
    vlm = load_vlm(params, "cpu", tmp_path)
    vlm.model.ln_final.bias.data += torch.arange(32)
    save_tuned(tmp_path / "tuned", vlm, params, {}, "# A card\n", tmp_path)
    saved = VlmParams(model="local-dir:tuned", pretrained=None, precision="fp32")
    loaded = load_vlm(saved, "cpu", tmp_path)
    assert torch.equal(encode_texts(loaded, TEXTS, 8), encode_texts(vlm, TEXTS, 8))
    image = Image.effect_noise((50, 40), 60).convert("RGB")
    assert torch.equal(loaded.preprocess(image), vlm.preprocess(image))
