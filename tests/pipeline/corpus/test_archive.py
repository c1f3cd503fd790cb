"""A folder of images, with annotations or alone, becomes the tables of the corpus."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.base.decode import decode
from pipeline.base.errors import UserError
from pipeline.base.params import Params, load_params
from pipeline.corpus.tables import Corpus
from stages.sources import brought, check_source, read_source

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared"


class Archive:
    """`in/parks` in a project, with images of noise and COCO's `annotations.json`."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root / "in/parks"
        self.images: list[dict[str, Any]] = []
        self.boxes: list[dict[str, Any]] = []
        (self.folder / "images").mkdir(parents=True)

    def add(self, name: str, boxes: list[list[float]], size: tuple[int, int] = (64, 48), **more: Any) -> Path:
        path = self.folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(len(self.images)).integers(0, 255, (*size[::-1], 3))
        Image.fromarray(noise.astype(np.uint8)).save(path)
        number = len(self.images) + 1
        self.images.append({"id": number, "file_name": name, "width": size[0], "height": size[1], **more})
        for box in boxes:
            entry = {"id": len(self.boxes) + 1, "image_id": number, "category_id": 1, "bbox": box}
            self.boxes.append({**entry, "area": box[2] * box[3], "iscrowd": 0})
        return path

    def read(self, **changes: Any) -> Corpus:
        coco = {
            "images": self.images,
            "annotations": self.boxes,
            "categories": [{"id": 1, "name": "airplane"}],
        }
        if self.images:
            (self.folder / "annotations.json").write_text(json.dumps(coco))
        raw = load_params(ROOT / "params.yaml").model_dump()
        params = Params.model_validate({**raw, "datasets": ("parks",), "corpus": raw["corpus"] | changes})
        check_source(self.folder)
        out = Path("data/corpus/parks/images")
        return read_source(Path("in/parks"), self.root, out, params, self.root / ".lempo/cache")

    def bring(self, name: str, rows: list[dict[str, Any]]) -> None:
        (self.folder / name).write_text(json.dumps(rows))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def _by_id(corpus: Corpus, table: str = "images") -> dict[str, Any]:
    return {row["image_id"]: row for row in getattr(corpus, table).to_pylist()}


def _reasons(corpus: Corpus) -> list[tuple[str, Any, str]]:
    return [(row["table"], row["record_id"], row["reason"]) for row in corpus.rejects.rows]


def test_annotations_of_a_rejected_file_are_not_those_of_its_namesake(archive: Archive) -> None:
    archive.add("a.jpg", [[2, 2, 10, 10]])
    archive.add("a.png", [[30, 30, 10, 10], [5, 30, 10, 10]])  # the id "a" is taken
    archive.add("b.jpg", [[3, 3, 10, 10]])
    archive.add("b.png", [[30, 3, 10, 10]]).write_text("no image")
    for image in archive.images[2:]:
        image["file_name"] = f"https://x.org/{image['file_name']}?v=1"
    corpus = archive.read()
    boxes = {name: graph["objects"][0]["bbox"]["x"] for name, graph in _by_id(corpus, "scene_graphs").items()}
    assert boxes == {"a": 2, "b": 3}
    said = [(table, reason) for table, _, reason in _reasons(corpus) if table == "scene_graphs"]
    file = archive.folder / "images"
    assert said == [("scene_graphs", f"the image was rejected: {file / name}") for name in ("a.png", "b.png")]


def test_boxes_become_graphs_and_plain_images_stay_where_they_are(archive: Archive) -> None:
    archive.add("a.png", [[2, 2, 10, 10]], site="north", date_captured="2024-05-01", camera="x")
    archive.add("b.jpg", [])
    corpus = archive.read()
    images, graphs = _by_id(corpus), _by_id(corpus, "scene_graphs")
    assert images["a"]["path"] == "in/parks/images/a.png" and images["a"]["place"] == "north"
    assert images["a"]["date"] == "2024-05-01" and json.loads(images["a"]["extra"])["camera"] == "x"
    assert [(o["name"], o["bbox"]) for o in graphs["a"]["objects"]] == [
        ("airplane", {"x": 2, "y": 2, "w": 10, "h": 10})
    ]
    assert graphs["b"]["objects"] == [] and corpus.queries.num_rows == 0 and corpus.rejects.rows == []
    assert brought(archive.folder) == ("images",)


def test_an_image_that_nothing_speaks_of_is_in_the_gallery_without_a_graph(archive: Archive) -> None:
    archive.add("a.png", [[2, 2, 10, 10]])
    archive.add("b.png", [])
    archive.images.pop()
    corpus = archive.read()
    assert set(_by_id(corpus)) == {"a", "b"} and set(_by_id(corpus, "scene_graphs")) == {"a"}
    assert corpus.rejects.rows == []


@pytest.mark.parametrize("inside", ["images", "JPEGImages", ".", "train"])
def test_images_alone_lie_in_any_folder(tmp_path: Path, inside: str) -> None:
    archive = Archive(tmp_path)
    (archive.folder / "images").rmdir()
    for number in range(4):
        path = archive.folder / inside / f"p{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
    corpus = archive.read()
    name = "train/p0" if inside == "train" else "p0"
    assert min(_by_id(corpus)) == name and corpus.images.num_rows == 4
    assert corpus.scene_graphs.num_rows == 0 and corpus.rejects.rows == []
    if inside == "train":
        assert set(corpus.images["split"].to_pylist()) == {"train"} and corpus.counts["split_assumed"] == 0


def test_a_damaged_image_is_rejected_and_the_others_stay(archive: Archive) -> None:
    archive.add("a.png", [[2, 2, 10, 10]]).write_bytes(b"not an image")
    archive.add("b.png", [[2, 2, 10, 10]])
    archive.add("c.png", []).rename(archive.folder / "images/b.jpg")
    archive.images.pop()
    corpus = archive.read()
    assert set(_by_id(corpus)) == {"b"}
    assert ("images", "a", "the image cannot be decoded: not in a format that Pillow knows") in _reasons(
        corpus
    )
    assert ("images", "b", "another image has this id") in _reasons(corpus)
    assert corpus.rejects.seen["images"] == 3


def test_a_scene_is_cut_and_its_boxes_follow(archive: Archive) -> None:
    whole = archive.add("s.png", [[10, 10, 20, 20], [95, 60, 10, 10]], size=(200, 100), site="north")
    archive.add("small.png", [[1, 1, 5, 5]], size=(100, 100))
    corpus = archive.read(tile_size=100, tile_drop_cut=False)
    images, graphs = _by_id(corpus), _by_id(corpus, "scene_graphs")
    assert set(images) == {"s_0_0", "s_100_0", "small"}
    row = images["s_100_0"]
    assert (row["scene_id"], row["family"], row["place"]) == ("s", "s", "north")
    assert row["tile"] == {"x": 100, "y": 0, "w": 100, "h": 100} and (row["width"], row["height"]) == (
        100,
        100,
    )
    assert images["small"]["scene_id"] is None and images["small"]["tile"] is None
    assert images["s_0_0"]["split"] == images["s_100_0"]["split"]
    pixels = np.asarray(decode((archive.root / row["path"]).read_bytes()))
    assert np.array_equal(pixels, np.asarray(Image.open(whole))[:, 100:])
    assert [len(graphs[name]["objects"]) for name in ("s_0_0", "s_100_0", "small")] == [1, 0, 1]
    assert corpus.notes.counts["objects_cut"] == 2
    assert corpus.counts.items() >= {"scenes_cut": 1, "tiles": 2}.items()


def test_tiles_that_cut_an_object_show_too_few_or_nothing_are_left_out(archive: Archive) -> None:
    archive.add("s.png", [[10, 10, 20, 20], [95, 60, 10, 10], [310, 10, 9, 9]], size=(500, 100))
    with Image.open(archive.folder / "images/s.png") as image:
        image.paste((7, 7, 7), (400, 0, 500, 100))
        image.save(archive.folder / "images/s.png")
    corpus = archive.read(tile_size=100)
    assert set(_by_id(corpus)) == {"s_200_0", "s_300_0"}
    assert corpus.notes.counts["tiles_cut"] == 2 and corpus.notes.counts["tiles_empty"] == 1
    corpus = archive.read(tile_size=100, tile_objects=[1, 8])
    assert set(_by_id(corpus)) == {"s_300_0"}
    assert corpus.notes.counts["tiles_few_or_many"] == 2


def test_a_second_run_renders_nothing_and_damage_is_mended(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    archive.add("s.png", [[10, 10, 20, 20]], size=(200, 100))
    first = archive.read(tile_size=100)
    files = {p.name: p.read_bytes() for p in (archive.root / "data/corpus/parks/images").iterdir()}
    monkeypatch.setattr("pipeline.corpus.rendering._write", lambda *_, **__: pytest.fail("rendered again"))
    second = archive.read(tile_size=100)
    assert second.images.equals(first.images) and second.scene_graphs.equals(first.scene_graphs)
    assert {p.name: p.read_bytes() for p in (archive.root / "data/corpus/parks/images").iterdir()} == files
    monkeypatch.undo()
    (kept, _) = sorted((archive.root / ".lempo/cache/rendered").rglob("*.png"))
    kept.unlink()
    kept.write_bytes(b"damage")
    assert archive.read(tile_size=100).images.equals(first.images)
    assert "is damaged" in caplog.text


def test_images_of_one_place_lie_in_one_split(archive: Archive) -> None:
    for number in range(12):
        archive.add(f"{'ab'[number % 2]}/{number:02d}.png", [], site=f"site{number % 4}", block=number % 3)
    for changes, place_of in (
        ({}, lambda n: f"site{n % 4}"),
        ({"place": "block"}, lambda n: str(n % 3)),
        ({"place": "folder"}, lambda n: f"images/{'ab'[n % 2]}"),
    ):
        rows = _by_id(archive.read(**changes)).items()
        assert [row["place"] for _, row in rows] == [place_of(int(name[2:])) for name, _ in rows]
        splits = Counter((row["place"], row["split"]) for _, row in rows)
        assert len(splits) == len({place for place, _ in splits})
    known = "no image of parks has a column 'sit'.*Did you mean 'site'. Use folder, or one of block, site"
    with pytest.raises(UserError, match=known):
        archive.read(place="sit")


def test_a_place_in_two_stated_splits_is_counted(archive: Archive) -> None:
    archive.add("train/a.png", [], site="north")
    archive.add("test/b.png", [], site="north")
    archive.add("test/c.png", [], site="south")
    corpus = archive.read()
    assert {name: row["split"] for name, row in _by_id(corpus).items()} == {
        "train/a": "train", "test/b": "test", "test/c": "test",
    }  # fmt: skip
    assert corpus.notes.counts["shared_places"] == 1
    assert corpus.notes.first["shared_places"] == "north: 'train/a' (train), 'test/b' (test)"


def test_graphs_that_are_brought_take_the_place_of_made_ones(archive: Archive) -> None:
    archive.add("a.png", [[2, 2, 10, 10]])
    archive.add("b.png", [[2, 2, 10, 10]])
    archive.add("s.png", [[2, 2, 10, 10]], size=(200, 50))
    tree = [{"object_id": 1, "name": "tree", "attributes": []}]
    archive.bring(
        "scene_graphs.json",
        [
            {"image_id": "a", "objects": tree},
            {"image_id": "s_100_0", "objects": tree},
            {"image_id": "s", "objects": tree},
            {"image_id": "nowhere", "objects": tree},
            {"image_id": "a", "objects": tree},
        ],
    )
    corpus = archive.read(tile_size=100)
    names = {i: [o["name"] for o in row["objects"]] for i, row in _by_id(corpus, "scene_graphs").items()}
    assert names == {"a": ["tree"], "b": ["airplane"], "s_0_0": ["airplane"], "s_100_0": ["tree"]}
    assert [reason for _, _, reason in _reasons(corpus)] == [
        "its image was cut into tiles", "the image file is missing", "the image has a graph already",
    ]  # fmt: skip
    assert brought(archive.folder) == ("images", "scene_graphs")


def test_queries_that_are_brought_are_taken_and_state_the_splits(archive: Archive) -> None:
    for name in "abcdef":
        archive.add(f"{name}.png", [[2, 2, 10, 10]])
    rows = [
        {
            "pair_id": 1,
            "split": "test",
            "reference": "a",
            "target": "b",
            "modification": "remove the airplane",
        },
        {"pair_id": 2, "split": "test", "reference": "images/c.png", "target": "b", "modification": "redder"},
        {"pair_id": 3, "split": "test", "reference": "z", "target": "b", "modification": "redder"},
    ]
    archive.bring("triplets.json", rows)
    corpus = archive.read()
    found = corpus.queries.to_pylist()
    assert [(row["query_id"], row["reference_id"]) for row in found] == [("1", "a"), ("2", "c")]
    assert [(edit["op"], edit["name"]) for edit in found[0]["edits"]] == [("remove", "airplane")]
    assert _reasons(corpus) == [("queries", "3", "there is no such image")]
    assert {_by_id(corpus)[name]["split"] for name in "abc"} == {"test"}
    assert brought(archive.folder) == ("images", "queries")


def test_graphs_and_images_without_queries_are_enough(archive: Archive) -> None:
    archive.add("a.png", [])
    archive.images.clear()
    graph = {"image_id": "first", "file_name": "images/a.png", "objects": [], "split": "val", "family": "f"}
    archive.bring("scene_graphs.json", [graph])
    corpus = archive.read()
    (row,) = corpus.images.to_pylist()
    assert (row["image_id"], row["split"], row["family"]) == ("first", "val", "f")
    assert corpus.scene_graphs["image_id"].to_pylist() == ["first"] and corpus.queries.num_rows == 0


def test_an_id_that_is_no_file_name_leaves_no_folder(archive: Archive) -> None:
    archive.add("a.png", [], size=(200, 100))
    archive.images.clear()
    graph = {"image_id": "../../../out", "file_name": "images/a.png", "objects": []}
    archive.bring("scene_graphs.json", [graph])
    corpus = archive.read(tile_size=100)
    paths = [Path(row["path"]) for row in corpus.images.to_pylist()]
    assert len(paths) == 2 and {path.parent for path in paths} == {Path("data/corpus/parks/images")}
    assert all((archive.root / path).is_file() for path in paths)


def test_colours_are_named_where_asked(archive: Archive) -> None:
    path = archive.add("a.png", [[10, 10, 20, 20]])
    image = Image.new("RGB", (64, 48), (120, 120, 120))
    image.paste((200, 20, 20), (10, 10, 30, 30))
    image.save(path)
    (graph,) = archive.read(colours=True).scene_graphs.to_pylist()
    assert "red" in graph["objects"][0]["attributes"]
    (graph,) = archive.read().scene_graphs.to_pylist()
    assert "red" not in graph["objects"][0]["attributes"]


def test_two_sources_of_one_kind_are_refused(archive: Archive) -> None:
    archive.add("a.png", [])
    archive.read()
    (archive.folder / "world.yaml").write_text("theme: tennis")
    with pytest.raises(UserError, match="both"):
        check_source(archive.folder)


def test_a_geotiff_is_rendered_cut_and_annotated_on_the_map(archive: Archive) -> None:
    rasterio = pytest.importorskip("rasterio")
    transform = rasterio.Affine(2, 0, 500_000, 0, -2, 5_500_000)
    profile = {"width": 200, "height": 100, "count": 5, "dtype": "uint16", "crs": "EPSG:32633", "nodata": 0}
    values = np.random.default_rng(0).integers(100, 5000, (5, 100, 200)).astype(np.uint16)
    values[:, :, 150:] = 0
    path = archive.folder / "images/scene.tif"
    with rasterio.open(path, "w", driver="GTiff", transform=transform, **profile) as file:
        file.write(values)
    corners = [(500_220, 5_499_980), (500_260, 5_499_980), (500_260, 5_499_940), (500_220, 5_499_940)]
    feature = {
        "type": "Feature",
        "properties": {"class": "pool"},
        "geometry": {"type": "Polygon", "coordinates": [[*corners, corners[0]]]},
    }
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    collection = {"type": "FeatureCollection", "crs": crs, "features": [feature]}
    (archive.folder / "pools.geojson").write_text(json.dumps(collection))
    corpus = archive.read(tile_size=50)
    images, graphs = _by_id(corpus), _by_id(corpus, "scene_graphs")
    assert corpus.rejects.rows == [] and corpus.notes.counts["images_rescaled"] == 1
    assert corpus.notes.counts["tiles_empty"] == 2 and len(images) == 6
    row = images["scene_100_0"]
    assert row["bounds"] == {"left": 500_200, "bottom": 5_499_900, "right": 500_300, "top": 5_500_000}
    assert (row["crs"], row["gsd"], row["scene_id"]) == ("EPSG:32633", 2.0, "scene")
    (pool,) = graphs["scene_100_0"]["objects"]
    assert (pool["name"], pool["bbox"]) == ("pool", {"x": 10, "y": 10, "w": 20, "h": 20})
    assert graphs["scene_0_0"]["objects"] == []
    low, high = np.percentile(values[:3][values[:3] > 0], (2, 98))
    expected = np.clip(np.rint((values[:3, :50, 100:150] - low) * 255 / (high - low)), 0, 255)
    pixels = np.asarray(decode((archive.root / row["path"]).read_bytes()))
    assert np.array_equal(pixels, np.moveaxis(expected, 0, -1).astype(np.uint8))
