"""Tiles keep their boxes however they are turned, the pooling is timm's, a killed training ends the same."""

import json
import math
import random
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from embedded.photographs import encoder, evaluate, train
from embedded.photographs.batches import ViewBatches, in_other_words
from embedded.photographs.export import export
from embedded.photographs.losses import place_loss
from embedded.photographs.maps import trunk_hash
from embedded.photographs.photographs import read_photographs
from embedded.photographs.tiles import cut_views, draw_views, with_graphs
from embedded.vlm.encoder import encode_halves, encode_text
from pipeline.base.errors import UserError
from pipeline.base.params import load_params
from pipeline.corpus.archive import read_archive
from pipeline.corpus.tiles import Cutting
from pipeline.graph.scene_graph import Group, GroupGraph, position_of
from tests.trainer.tiny import REPOSITORY, make_vlm_folder

WEIGHTS = "open_clip_model.safetensors"
COLOURS = {"car": (255, 0, 0), "boat": (0, 255, 0), "roof": (0, 0, 255)}
CUTTING = Cutting(60, keep=0.85, objects=(1, 6))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An open_clip folder with the smallest timm tower, and the words of the tests."""
    folder = make_vlm_folder(tmp_path_factory.mktemp("start") / "vlm")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"] = {
        "timm_model_name": "mobilenetv2_035",
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "linear",
        "image_size": 64,
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(3)
    model = open_clip.CLIP(**config["model_cfg"])
    save_file({name: w.contiguous() for name, w in model.state_dict().items()}, folder / WEIGHTS)
    return folder


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures of two sites with coloured boxes, as COCO."""
    folder = tmp_path_factory.mktemp("photographs")
    (folder / "images").mkdir()
    draw, images, annotations = random.Random(0), list[dict[str, Any]](), list[dict[str, Any]]()
    for number in range(6):
        name = f"p{number}.png"
        picture = Image.new("RGB", (150, 120), (90, 90, 90))
        for place in range(12):
            kind = draw.randrange(3)
            x, y, w, h = 5 + place % 4 * 36, 5 + place // 4 * 38, draw.randint(6, 20), draw.randint(6, 20)
            box = (x, y, x + w - 1, y + h - 1)
            ImageDraw.Draw(picture).rectangle(box, fill=list(COLOURS.values())[kind])
            annotations.append(
                {"id": len(annotations), "image_id": number, "category_id": kind, "bbox": [x, y, w, h]}
            )
        picture.save(folder / "images" / name)
        site = f"site{number % 2}"
        images.append({"id": number, "file_name": name, "width": 150, "height": 120, "site": site})
    categories = [{"id": number, "name": name} for number, name in enumerate(COLOURS)]
    values = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(values))
    return folder


def test_only_photographs_of_the_places_are_read(photographs: Path) -> None:
    assert len(read_photographs(photographs)) == 6
    assert {p.place for p in read_photographs(photographs, ["site1"])} == {"site1"}
    with pytest.raises(UserError, match="no photograph is of site7"):
        read_photographs(photographs, ["site1", "site7"])


def test_a_box_lies_on_its_object_however_the_tile_is_turned(photographs: Path) -> None:
    found = read_photographs(photographs)
    views = draw_views(found, 8, CUTTING, 1.2, random.Random(1))
    assert {(view.mirrored, view.turns) for view in views} == {
        (m, t) for m in (False, True) for t in range(4)
    }
    for view in views:
        pixels = np.asarray(view.picture(found[view.number].picture()))
        assert pixels.shape == (view.tile.h, view.tile.w, 3)
        for box in view.boxes:
            x, y, w, h = box.bounds
            whole = min(x, y) >= 0 and x + w <= view.tile.w and y + h <= view.tile.h
            corners = [(x + 0.5, y + 0.5), (x + w - 0.5, y + h - 0.5)] if whole else [(x + w / 2, y + h / 2)]
            for column, row in corners:
                assert tuple(pixels[int(row), int(column)]) == COLOURS[box.name]


def test_the_graph_says_where_things_are_in_the_turned_tile(photographs: Path) -> None:
    found = read_photographs(photographs)
    views = draw_views(found, 4, CUTTING, 1.0, random.Random(2))
    kept, graphs = with_graphs(views)
    assert kept == views
    for view, graph in zip(views, graphs, strict=True):
        cells = Counter((box.name, position_of(box.bounds, view.tile.w, view.tile.h)) for box in view.boxes)
        said = Counter[tuple[str, str]]()
        for group in graph.groups:
            assert group.position
            said[group.name, group.position] += int(group.quantity)
        assert said == cells


def test_tiles_without_objects_are_left_out(photographs: Path) -> None:
    found = read_photographs(photographs)
    views = draw_views(found, 4, Cutting(20, keep=0.85, objects=(0, 6)), 1.0, random.Random(2))
    kept, graphs = with_graphs(views)
    assert 0 < len(kept) < len(views) and all(graph.groups for graph in graphs)


def test_the_tiles_to_measure_are_those_of_the_corpus(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/found").symlink_to(photographs)
    tiling = {"tile_size": 60, "tile_overlap": 30, "tile_keep": 0.85, "tile_objects": (1, 6)}
    params = load_params(REPOSITORY / "params.yaml")
    params = params.model_copy(update={"corpus": params.corpus.model_copy(update=tiling)})
    made = read_archive(Path("in/found"), tmp_path, Path("out"), params, tmp_path / "cache")
    views = cut_views(read_photographs(photographs), Cutting(60, 30, 0.85, objects=(1, 6)))
    found = read_photographs(photographs)
    ours = [f"{found[view.number].path.stem}_{view.tile.x}_{view.tile.y}" for view in views]
    assert ours == made.images["image_id"].to_pylist()


def test_the_pooling_is_that_of_open_clip(start: Path) -> None:
    model = encoder.build_model(start, encoder.config_of(start, 96), seed=1).eval()
    torch.nn.init.normal_(model.visual.head.pool.qkv.bias)
    pixels = torch.randn(3, 3, 96, 96)
    with torch.inference_mode():
        ours = encoder.encode_maps(model, encoder.first_maps(model, pixels))
        assert torch.allclose(ours, model.encode_image(pixels), atol=1e-5)


def test_heads_start_at_a_part_of_the_map_each(start: Path) -> None:
    pool = encoder.build_model(start, encoder.config_of(start, 96), seed=1).visual.head.pool
    place = pool.pos_embed[1:].detach()
    key, bias = pool.qkv.weight.chunk(3)[1].detach(), pool.qkv.bias.chunk(3)[0].detach()
    shape = (pool.num_heads, pool.head_dim)
    scores = (
        torch.einsum("hd,hdc,pc->hp", bias.unflatten(0, shape), key.unflatten(0, shape), place) * pool.scale
    )
    for head in range(9):
        row, column = divmod(int(scores[head].argmax()), 7)
        assert (row * 3 // 7, column * 3 // 7) == divmod(head, 3)


def test_a_folder_without_a_timm_tower_is_refused(tmp_path: Path) -> None:
    folder = make_vlm_folder(tmp_path / "vlm")
    with pytest.raises(UserError, match="no timm network"):
        encoder.config_of(folder, 96)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"tokenizer\.json: the file is missing"):
        encoder.config_of(folder, 96)


def test_a_pool_that_the_folder_has_stays(start: Path, tmp_path: Path) -> None:
    config = encoder.config_of(start, 96)
    model = encoder.build_model(start, config, seed=1)
    export(model, config, start, tmp_path / "mine")
    again = encoder.build_model(tmp_path / "mine", encoder.config_of(tmp_path / "mine", 96), seed=2)
    assert torch.allclose(again.visual.head.pool.pos_embed, model.visual.head.pool.pos_embed, atol=1e-3)


def test_a_batch_has_each_photograph_several_times(start: Path, photographs: Path) -> None:
    views, graphs = with_graphs(draw_views(read_photographs(photographs), 5, CUTTING, 1.0, random.Random(0)))
    maps = np.arange(len(views), dtype=np.float16).reshape(-1, 1, 1, 1)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{start}")
    batches = ViewBatches(maps, graphs, [view.number for view in views], tokenizer, 8, 2, seed=1)
    assert batches.steps == 6 * 4 // 8
    seen = []
    for step in range(batches.steps):
        batch = batches[step]
        rows = batch.maps.flatten().int().tolist()
        seen += rows
        assert set(Counter(views[row].number for row in rows).values()) <= {2, 4, 6, 8}
        assert batch.holds.diagonal().all() and bool((batch.stated <= batch.shown).all())
        assert batch.places.tolist() == [views[row].number for row in rows]
        assert torch.equal(batches[step].maps, batch.maps)
    assert len(set(seen)) == len(seen) == 24
    model = encoder.build_model(start, encoder.config_of(start, 96), seed=1).eval()
    with torch.inference_mode():
        texts = batches[0].texts
        halves = encode_halves(model, texts)
        whole = torch.cat([encode_text(model, tokens) for tokens in (texts.short, texts.long)])[texts.order]
    assert torch.allclose(halves, whole, atol=1e-5)


def test_captions_say_other_words() -> None:
    words = {"top": "upper", "small": "tiny", "airplane": "plane"}
    assert in_other_words("Small airplanes (top left), two.", words) == "Tiny planes (upper left), two."
    assert in_other_words("a stop at the smallest airplane", words) == "a stop at the smallest plane"
    assert in_other_words("as it is", {}) == "as it is"


def test_the_loss_of_places_by_hand() -> None:
    apart = torch.eye(4)[[0, 0, 1, 1]]
    places = torch.tensor([7, 7, 3, 3])
    other = math.exp(10) / (math.exp(10) + 2)  # the one like it, among three
    assert place_loss(apart, places, 0.1).item() == pytest.approx(-math.log(other), abs=1e-5)
    mixed = place_loss(torch.eye(4)[[0, 1, 0, 1]], places, 0.1).item()
    assert mixed == pytest.approx(10 - math.log(other), rel=1e-4)
    alike = place_loss(torch.eye(4)[[0, 0, 0, 0]], torch.tensor([1, 1, 1, 1]), 0.1).item()
    assert alike == pytest.approx(math.log(3))  # each of the three others is as likely


def test_maps_are_those_of_the_trunk(start: Path, tmp_path: Path) -> None:
    config = encoder.config_of(start, 96)
    first, second = (encoder.build_model(start, config, seed) for seed in (1, 2))
    assert trunk_hash(first) == trunk_hash(second)  # the pooling differs
    with torch.no_grad():
        first.visual.trunk.bn1.running_mean[0] += 1
        encoder.last_parts(second)[0][0].bn1.weight[0] += 1
    assert trunk_hash(first) != trunk_hash(second) == trunk_hash(encoder.build_model(start, config, 3))


def run(monkeypatch: pytest.MonkeyPatch, start: Path, photographs: Path, out: Path, more: str = "") -> bytes:
    options = (
        f"--start {start} --photographs {photographs} --places site0,site1 --out {out} --image-size 96 "
        "--tile 60 --views 4 --together 2 --batch 8 --steps 6 --save-every 2 --threads 1 --device cpu"
    )
    monkeypatch.setattr(sys, "argv", ["train", *options.split(), *more.split()])
    train.main()
    return (out / WEIGHTS).read_bytes()


def test_a_killed_training_ends_with_the_same_weights(
    start: Path,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    whole = run(monkeypatch, start, photographs, tmp_path / "whole")
    step, calls = train.Trainer.step, 0

    def killed(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise RuntimeError("killed")
        return step(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(train.Trainer, "step", killed)
        with pytest.raises(RuntimeError, match="killed"):
            run(patched, start, photographs, tmp_path / "again")
    assert run(monkeypatch, start, photographs, tmp_path / "again") == whole
    assert "going on from step 4" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "again")
    assert run(monkeypatch, start, photographs, tmp_path / "again") == whole  # from the state alone

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'whole'}")
    first = encoder.build_model(start, encoder.config_of(start, 96), seed=0)
    changed = [
        name
        for name, weight in model.state_dict().items()
        if not torch.allclose(weight, first.state_dict()[name], atol=1e-3)
    ]
    assert any(name.startswith("visual.head.pool") for name in changed)
    assert not any(name.startswith("visual.trunk.blocks.0") for name in changed)
    picture = preprocess(Image.new("RGB", (60, 60)))
    assert picture.shape == (3, 96, 96) and model.encode_image(picture[None]).shape == (1, 16)


def test_other_boxes_are_other_data(
    start: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, start, photographs, tmp_path / "mine")
    (before,) = (tmp_path / "mine.maps").iterdir()
    shutil.copytree(photographs, tmp_path / "fewer")
    values = json.loads((tmp_path / "fewer/annotations.json").read_text())
    values["annotations"] = values["annotations"][::2]
    (tmp_path / "fewer/annotations.json").write_text(json.dumps(values))
    run(monkeypatch, start, tmp_path / "fewer", tmp_path / "mine")
    (after,) = (tmp_path / "mine.maps").iterdir()
    assert before.name != after.name


def test_too_few_tiles_for_a_batch(
    start: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="24 tiles of 6 photographs make no batch of 64"):
        run(monkeypatch, start, photographs, tmp_path / "mine", "--batch 64")
    with pytest.raises(SystemExit, match="0 tiles of 6 photographs"):
        run(monkeypatch, start, photographs, tmp_path / "mine", "--objects 40 50")
    (tmp_path / "none/images").mkdir(parents=True)
    with pytest.raises(SystemExit, match="holds no image"):
        run(monkeypatch, start, tmp_path / "none", tmp_path / "mine")


def test_the_evaluation_prints_recall(
    start: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    options = f"--model {start} --photographs {photographs} --tile 60 --overlap 30 --objects 1 6 --most 12"
    monkeypatch.setattr(sys, "argv", ["evaluate", *options.split()])
    evaluate.main()
    printed = capsys.readouterr().out
    figures = json.loads(printed[printed.index("{") :])
    assert figures["tiles"] == 12 and 0 <= figures["all"]["R@1"] <= figures["all"]["R@10"] <= 100


def test_recall_by_hand() -> None:
    graphs = [GroupGraph(None, (Group(number, "car"),), ()) for number in ("1", "2", "2", "3")]
    scores = torch.tensor(
        [[0.9, 0.1, 0.1, 0.2], [0.8, 0.2, 0.7, 0.1], [0.1, 0.6, 0.5, 0.9], [0.9, 0.1, 0.1, 0.8]]
    )
    figures = evaluate.measure(scores, graphs, [0, 0, 1, 1])
    # the second text finds the first tile, the fourth, too; the third text finds the fourth tile
    assert figures["all"]["R@1"] == 25.0
    assert figures["alike"]["R@1"] == 25.0
    # within their photographs the second and the third text are wrong
    assert figures["one_photograph"] == {"R@1": 50.0, "chance": 50.0}
