"""Real photographs with boxes, where they are on this machine."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.params import Params, load_params
from pipeline.corpus.tables import Corpus
from stages.sources import read_source

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared"

pytestmark = pytest.mark.skipif(not (SHARED / "airports").is_dir(), reason="the real images are not here")


def _read(root: Path, name: str, **changes: Any) -> Corpus:
    raw = load_params(ROOT / "params.yaml").model_dump()
    params = Params.model_validate({**raw, "datasets": (name,), "corpus": raw["corpus"] | changes})
    return read_source(Path("in") / name, root, Path("data/images"), params, root / "cache")


def _linked(root: Path, name: str) -> Path:
    (root / "in").mkdir(exist_ok=True)
    (root / "in" / name).symlink_to(SHARED / name)
    return root


def test_airports_are_cut_as_it_was_tried_by_hand(tmp_path: Path) -> None:
    """Tiles of 180 pixels every 60, with 1 to 8 airplanes, none cut; the site is the place."""
    folder = tmp_path / "in/airports"
    (folder / "images").mkdir(parents=True)
    coco = json.loads((SHARED / "airports/annotations.json").read_text())
    taken: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for image in coco["images"]:
        if len(taken[image["site"]]) < 2:
            taken[image["site"]].append(image)
    images = [image for site in sorted(taken)[:8] for image in taken[site]]
    ids = {image["id"] for image in images}
    boxes = [box for box in coco["annotations"] if box["image_id"] in ids]
    (folder / "annotations.json").write_text(json.dumps({**coco, "images": images, "annotations": boxes}))
    for image in images:
        name = image["file_name"]
        (folder / "images" / name).write_bytes((SHARED / "airports/images" / name).read_bytes())
    cut = {"tile_size": 180, "tile_overlap": 120, "tile_objects": [1, 8]}
    corpus = _read(tmp_path, "airports", **cut)
    rows = corpus.images.to_pylist()
    assert len(rows) > 100 and {(row["width"], row["height"]) for row in rows} == {(180, 180)}
    assert all(
        row["place"] == row["image_id"].split("-")[0] == json.loads(row["extra"])["site"] for row in rows
    )
    splits = {(row["place"], row["split"]) for row in rows}
    assert len(splits) == len({place for place, _ in splits}) and len({split for _, split in splits}) == 3
    for graph in corpus.scene_graphs.to_pylist():
        assert 1 <= len(graph["objects"]) <= 8 and {o["name"] for o in graph["objects"]} == {"airplane"}
    assert corpus.rejects.rows == [] and corpus.scene_graphs.num_rows == len(rows)


@pytest.mark.slow
def test_all_airports_tennis_courts_and_cars(tmp_path: Path) -> None:
    airports = _read(_linked(tmp_path, "airports"), "airports")
    assert (airports.images.num_rows, airports.scene_graphs.num_rows) == (1061, 1061)
    splits = dict(zip(*(airports.images[name].to_pylist() for name in ("place", "split")), strict=True))
    assert len(splits) == airports.counts["places"] == 24
    courts = _read(_linked(tmp_path, "tennis-courts"), "tennis-courts")
    assert (courts.images.num_rows, courts.scene_graphs.num_rows) == (184, 184)
    cars = _read(_linked(tmp_path, "cars"), "cars")
    assert cars.images.num_rows == 367 and cars.counts["split_assumed"] == 0
    for corpus in (airports, courts, cars):
        assert [row for row in corpus.rejects.rows if row["table"] == "images"] == []
