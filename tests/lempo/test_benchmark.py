"""The command on tiny benchmarks: its figures, what it writes, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lempo import benchmark
from pipeline.base.errors import UserError
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.vision import cached
from pipeline.vision.vlm import load_vlm
from tests.trainer.benchmarks.tiny import make_circo, make_cirr, make_fashioniq, make_patterncom
from tests.trainer.methods.test_weicom import published
from tests.trainer.tiny import make_params, vlm_folder
from trainer.benchmarks.measure import Request
from trainer.benchmarks.registry import BENCHMARKS, read_split
from trainer.tuning.folder import save_tuned

__all__ = ["make_params", "vlm_folder"]
MAKE = {"cirr": make_cirr, "fashioniq": make_fashioniq, "circo": make_circo, "patterncom": make_patterncom}


def _run(params: Params, folder: Path, layout: str, **options: Any) -> dict[str, Any]:
    root = folder / "data" / layout
    if not root.is_dir():
        MAKE[layout](root)
    benchmark.run(params, Paths(folder), Request(layout, root, **options))
    out = options.get("out") or folder / f"metrics/benchmarks/{layout}.json"
    return json.loads(out.read_text())


@pytest.fixture
def params(make_params: Callable[..., Params]) -> Params:
    return make_params(embed={"dtype": "float32"})


def test_cirr_is_what_bare_open_clip_and_loops_find(tmp_path: Path, params: Params) -> None:
    """Everything once more without the project's code: features, fusion, WeiCom, ranks and sets."""
    found = _run(params, tmp_path, "cirr", share=0.3)
    (part,) = read_split("cirr", tmp_path / "data/cirr", "val").categories
    vlm = load_vlm(params.vlm, "cpu")
    with torch.no_grad():
        pixels = torch.stack([vlm.preprocess(Image.open(file)) for file in part.gallery.values()])
        gallery = vlm.model.encode_image(pixels, normalize=True).numpy()
        tokens = vlm.tokenize([query.text for query in part.queries])
        texts = vlm.model.encode_text(tokens, normalize=True).numpy()
    names = list(part.gallery)
    ranks: dict[str, list[int]] = {}
    for query, text in zip(part.queries, texts, strict=True):
        image = gallery[names.index(query.reference)]
        mixed = 0.7 * image + 0.3 * text
        scores = {
            "image_only": gallery @ image,
            "text_only": gallery @ text,
            "image_plus_text": gallery @ (mixed / np.linalg.norm(mixed)),
            "weicom": published(image, text, gallery, 0.3),
        }
        for method, values in scores.items():
            order = [names[place] for place in np.argsort(-np.asarray(values))]
            order.remove(query.reference)
            in_set = [name for name in order if name in query.members]
            ranks.setdefault(method, []).append(order.index(str(query.target)) + 1)
            ranks.setdefault(f"{method} in set", []).append(in_set.index(str(query.target)) + 1)
    for method in ("image_only", "text_only", "image_plus_text", "weicom"):
        for k in (1, 5, 10, 50):
            assert found["frozen"][method][f"R@{k}"] == pytest.approx(_percent(ranks[method], k), abs=1e-4)
        for k in (1, 2, 3):
            expected = _percent(ranks[f"{method} in set"], k)
            assert found["frozen"][method][f"R_subset@{k}"] == pytest.approx(expected, abs=1e-4)


def _percent(ranks: list[int], k: int) -> float:
    return 100 * sum(rank <= k for rank in ranks) / len(ranks)


@pytest.mark.parametrize(
    ("layout", "reference", "queries", "images"),
    [
        ("cirr", "removed", {"all": 3}, 8),
        ("fashioniq", "kept", {"dress": 2, "shirt": 2, "toptee": 2}, 4),
        ("circo", "kept", {"all": 2}, 7),
        (
            "patterncom",
            "kept",
            {"color": 3, "context": 2, "density": 2, "existence": 2, "quantity": 2, "shape": 2},
            12,
        ),
    ],
)
def test_every_layout_is_measured(
    tmp_path: Path,
    params: Params,
    capsys: pytest.CaptureFixture[str],
    layout: str,
    reference: str,
    queries: dict[str, int],
    images: int,
) -> None:
    found = _run(params, tmp_path, layout)
    assert found["benchmark"] == layout and found["reference"] == reference
    assert found["queries"] == queries
    assert found["images"] == dict.fromkeys(queries, images)
    assert found["share"] == {"from": "fixed", "frozen": {"image_plus_text": 0.5, "weicom": 0.5}}
    assert list(found["frozen"]) == ["image_only", "image_plus_text", "text_only", "weicom"]
    assert found["model"]["model"].startswith("local-dir:")
    printed = capsys.readouterr().out
    assert "frozen weicom" in printed and f"{layout}.json" in printed


def test_a_reference_that_is_kept_takes_the_first_place(tmp_path: Path, params: Params) -> None:
    found = _run(params, tmp_path, "patterncom")
    # of the answers 1, 1 and 2 images the best that is left are places 2, 2 and 2 with 3
    best = 100 * (1 / 2 + 1 / 2 + (1 / 2 + 2 / 3) / 2) / 3
    assert 0 < found["frozen"]["image_only"]["color"]["mAP"] <= best + 1e-6


def test_the_share_is_chosen_on_another_split(tmp_path: Path, params: Params) -> None:
    found = _run(params, tmp_path, "fashioniq", choose_on="train")
    assert found["share"]["from"] == "chosen on train"
    assert set(found["share"]["frozen"]) == {"image_plus_text", "weicom"}
    fixed = _run(params, tmp_path, "fashioniq", share=found["share"]["frozen"]["weicom"])
    assert fixed["frozen"]["weicom"] == found["frozen"]["weicom"]


def _tune(params: Params, folder: Path, **record: Any) -> Path:
    """A tuned folder whose text encoder is another one."""
    vlm = load_vlm(params.vlm, "cpu")
    torch.manual_seed(1)
    torch.nn.init.normal_(vlm.model.text_projection)
    said = {"weights": {}, "mixture": {}, "untuned": {}, "source": vlm.identity, **record}
    save_tuned(folder, vlm, params.vlm, said, "")
    return folder


def test_a_tuned_text_encoder_is_measured_beside_the_frozen_one(tmp_path: Path, params: Params) -> None:
    tuned = _tune(params, tmp_path / "data/tuned/tiny")
    found = _run(params, tmp_path, "circo", tuned=tuned)
    assert found["share"]["tuned"] == {"image_plus_text": 0.5, "weicom": 0.5}
    assert found["tuned"]["image_only"] == found["frozen"]["image_only"]
    assert found["tuned"]["text_only"] != found["frozen"]["text_only"]
    again = _run(params, tmp_path, "circo")
    assert again["frozen"] == found["frozen"] and "tuned" not in again


def test_an_encoder_tuned_from_another_model_is_refused(tmp_path: Path, params: Params) -> None:
    tuned = _tune(params, tmp_path / "data/tuned/tiny", source={"model": "another"})
    with pytest.raises(UserError, match="tuned from another model"):
        _run(params, tmp_path, "circo", tuned=tuned)
    with pytest.raises(UserError, match="tuned model is missing"):
        _run(params, tmp_path, "circo", tuned=tmp_path / "none")


def test_cirr_without_labels_gives_the_two_files_of_its_server(tmp_path: Path, params: Params) -> None:
    make_cirr(tmp_path / "cirr")
    out = tmp_path / "metrics/mine.json"
    request = Request("cirr", tmp_path / "cirr", split="test1", choose_on="train", out=out)
    benchmark.run(params, Paths(tmp_path), request)
    assert not out.exists()
    files = {path.name: json.loads(path.read_text()) for path in (tmp_path / "metrics/mine/test1").iterdir()}
    assert len(files) == 8
    recall = files["frozen_weicom_recall.json"]
    assert (recall.pop("version"), recall.pop("metric")) == ("rc2", "recall")
    assert list(recall) == ["101", "102"]
    assert sorted(recall["101"]) == [f"test1-{number}-0-img0" for number in range(1, 8)]
    subset = files["frozen_weicom_recall_subset.json"]
    assert (subset["version"], subset["metric"]) == ("rc2", "recall_subset")
    in_set = [name for name in recall["101"] if name in {f"test1-{number}-0-img0" for number in range(6)}]
    assert subset["101"] == in_set[:3]


def test_circo_without_labels_gives_the_file_of_its_server(tmp_path: Path, params: Params) -> None:
    make_circo(tmp_path / "circo")
    benchmark.run(params, Paths(tmp_path), Request("circo", tmp_path / "circo", split="test"))
    file = tmp_path / "metrics/benchmarks/circo/test/frozen_image_only_test.json"
    best = json.loads(file.read_text())["0"]
    assert best[0] == 103 and sorted(best) == list(range(100, 107))  # the reference is kept


def test_images_are_embedded_once(tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _run(params, tmp_path, "patterncom")
    embedded: list[Path] = []
    embed_images = cached.embed_images

    def counted(vlm: Any, sources: Any, **options: Any) -> Any:
        embedded.extend(source.path for source in sources)
        return embed_images(vlm, sources, **options)

    monkeypatch.setattr(cached, "embed_images", counted)
    assert _run(params, tmp_path, "patterncom") == first
    assert embedded == []
    changed = tmp_path / "data/patterncom/images/river/river001.jpg"
    Image.new("RGB", (32, 32), (1, 2, 3)).save(changed)
    _run(params, tmp_path, "patterncom")
    assert embedded == [changed]


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path, params: Params) -> None:
    written = []
    for name in ("one", "two"):
        _run(params, tmp_path, "circo", out=tmp_path / f"{name}.json")
        written.append((tmp_path / f"{name}.json").read_bytes())
    assert written[0] == written[1]


def test_all_unusable_images_are_named_at_once_before_any_is_embedded(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = make_fashioniq(tmp_path / "data/fashioniq") / "images"
    whole = (images / "BVD1.jpg").read_bytes()
    (images / "BVD1.jpg").write_bytes(b"")
    (images / "BVS1.jpg").write_bytes(b"<html>not found</html>")
    (images / "BVT1.jpg").write_bytes(whole[: len(whole) // 2])
    embed_images = cached.embed_images
    monkeypatch.setattr(cached, "embed_images", lambda *_, **__: pytest.fail("an image was embedded"))
    with pytest.raises(
        UserError, match=r"3 of 12 images cannot be used: BVD1\.jpg, BVS1\.jpg, BVT1\.jpg"
    ) as raised:
        _run(params, tmp_path, "fashioniq")
    assert raised.value.problem.file == str(images / "BVD1.jpg")
    listing = tmp_path / "metrics/benchmarks/fashioniq/unusable_images.csv"
    assert str(listing) in raised.value.problem.remedy
    assert [line.split(",")[0] for line in listing.read_text().splitlines()] == [
        "file",
        *(str(images / f"BV{letter}1.jpg") for letter in "DST"),
    ]
    monkeypatch.setattr(cached, "embed_images", embed_images)
    for letter in "DST":
        (images / f"BV{letter}1.jpg").write_bytes(whole)
    _run(params, tmp_path, "fashioniq")
    assert not listing.exists()


def test_an_error_of_a_parameter_stays_as_it_is(tmp_path: Path, params: Params) -> None:
    make_fashioniq(tmp_path / "data/fashioniq")
    ray = params.speed.ray.model_copy(update={"address": "127.0.0.1:9"})
    speed = params.speed.model_copy(update={"embed_engine": "ray", "ray": ray})
    with pytest.raises(UserError, match=r"'speed\.ray\.address': there is no Ray cluster to connect to"):
        _run(params.model_copy(update={"speed": speed}), tmp_path, "fashioniq")


@pytest.mark.parametrize("layout", MAKE)
def test_a_missing_image_is_named_with_all_others_before_a_model_is_loaded(
    tmp_path: Path, params: Params, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    root = MAKE[layout](tmp_path / "data" / layout)
    split = read_split(layout, root, BENCHMARKS[layout].splits[0])
    first, second, *_ = split.categories[0].gallery.values()
    first.write_bytes(b"no image")
    second.unlink()
    monkeypatch.setattr("trainer.benchmarks.measure.load_vlm", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(UserError, match=rf"2 of \d+ images cannot be used: {first.name}, {second.name}"):
        _run(params, tmp_path, layout)


def test_a_blank_text_is_encoded_and_said(
    tmp_path: Path, params: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_cirr(tmp_path / "data/cirr")
    file = root / "cirr/captions/cap.rc2.test1.json"
    rows = json.loads(file.read_text())
    rows[1]["caption"] = " "
    file.write_text(json.dumps(rows))
    benchmark.run(params, Paths(tmp_path), Request("cirr", root, split="test1"))
    assert "1 of 2 queries have a blank text, which is encoded as it is: 102" in capsys.readouterr().out
    recall = tmp_path / "metrics/benchmarks/cirr/test1/frozen_text_only_recall.json"
    assert "102" in json.loads(recall.read_text())


@pytest.mark.parametrize(
    ("layout", "options", "reason"),
    [
        ("cirr", {"choose_on": "val"}, "nothing is chosen on the split that is measured"),
        ("cirr", {"choose_on": "test1"}, "labels of this split are not public"),
        ("cirr", {"choose_on": "train", "share": 0.2}, "both given and to be chosen"),
        ("cirr", {"share": float("nan")}, "no share"),
        ("cirr", {"share": 1.5}, "no share"),
        ("cirr", {"split": "test"}, "no such split"),
        ("cirr", {"choose_on": "test"}, "no such split"),
        ("patterncom", {"choose_on": "val"}, "no such split"),
        ("fashioniq", {"split": "test"}, "labels of this split are not public"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_a_model_is_loaded(
    tmp_path: Path,
    params: Params,
    monkeypatch: pytest.MonkeyPatch,
    layout: str,
    options: dict[str, Any],
    reason: str,
) -> None:
    monkeypatch.setattr("trainer.benchmarks.measure.load_vlm", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(UserError, match=reason):
        _run(params, tmp_path, layout, **options)
