"""`lempo check` on archives: what the stages would meet, found in a sample by their own code."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lempo import archives
from lempo.archives import archive_checks
from pipeline.base.errors import UserError
from pipeline.base.params import Params, load_params
from pipeline.base.paths import Paths
from stages import corpus

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"


class _Archive:
    """`count` photographs of 80 x 60 pixels with boxes in COCO's layout, ten of each place."""

    def __init__(self, root: Path, count: int = 30) -> None:
        self.root, self.folder = root, root / "in/yard"
        (self.folder / "images").mkdir(parents=True)
        self.names = ["car", "boat", "water"]
        self.images: list[dict[str, Any]] = []
        self.boxes: list[dict[str, Any]] = []
        for number in range(count):
            cells = np.random.default_rng(number).integers(0, 256, (9, 9, 3), dtype=np.uint8)
            Image.fromarray(cells).resize((80, 60)).save(self.folder / f"images/{number:02d}.png")
            self.images.append(
                {
                    "id": number,
                    "file_name": f"{number:02d}.png",
                    "width": 80,
                    "height": 60,
                    "place": f"p{number // 10}",
                }
            )
            for place in (0, 1, 2):
                if number % (place + 1) == 0:
                    box = [5 + 25 * place, 5 + 20 * place, 12, 9]
                    self.boxes.append({"image_id": number, "category_id": 1 + place, "bbox": box})

    def check(self, **changes: Any) -> dict[str, str]:
        """The line of each check."""
        (self.folder / "annotations.json").write_text(
            json.dumps(
                {
                    "images": self.images,
                    "annotations": [{"id": i, "iscrowd": 0, **box} for i, box in enumerate(self.boxes)],
                    "categories": [{"id": i + 1, "name": name} for i, name in enumerate(self.names)],
                }
            )
        )
        found = {}
        for name, check in archive_checks(self.params(**changes), Paths(self.root), "yard"):
            try:
                found[name.removesuffix(" of yard")] = check()
            except UserError as error:
                found[name.removesuffix(" of yard")] = f"FAIL {error}"
        return found

    def params(self, **changes: Any) -> Params:
        values = load_params(ROOT / "params.yaml").model_dump()
        values["corpus"] |= {"root": "in", "split_shares": (0.4, 0.3, 0.3)} | changes
        values["speed"] |= {"workers": 1}
        return Params.model_validate(values | {"datasets": ("yard",)})


def test_a_sound_archive_is_described(tmp_path: Path) -> None:
    said = _Archive(tmp_path).check()
    assert said["images"] == "of 30 images; 30 scene graphs"
    assert said["places"] == "3 places, none of them in two splits (in 30 images)"
    assert said["near-duplicates"].startswith("0 images of val and test look like images of another split")
    assert said["classes"] == "3, of which 1 have no plural that is said: water"
    assert "queries can be made (" in said["pairs"] and said["pairs"].endswith(" of 30 images")
    assert not said["pairs"].startswith("0 ") and not (tmp_path / "data").exists()


def test_of_a_large_archive_a_sample_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_IMAGES", 10)
    said = _Archive(tmp_path).check()
    assert said["images"] == "of a sample of 10 of 30 images; 10 scene graphs"
    assert "in a sample of 10 of 30 images" in said["near-duplicates"]
    assert said["pairs"].endswith("a sample of 10 of 30 images") or "sample of 10 of 30" in said["pairs"]
    monkeypatch.setattr(archives, "_BYTES", 1)
    assert _Archive(tmp_path / "other").check()["images"].startswith("of a sample of 1 of 30 images")


def test_a_place_in_two_splits_is_found(tmp_path: Path) -> None:
    archive = _Archive(tmp_path)
    archive.images[3] |= {"place": "harbour", "split": "train"}
    archive.images[25] |= {"place": "harbour", "split": "test"}
    said = archive.check()["places"]
    assert said.startswith("FAIL") and "harbour" in said and "corpus.allow_shared_places" in said
    assert "harbour" in archive.check(allow_shared_places=True)["places"]


def test_near_duplicates_in_two_splits_are_named(tmp_path: Path) -> None:
    archive = _Archive(tmp_path)
    with Image.open(archive.folder / "images/03.png") as image:
        image.point(lambda value: value // 2).save(archive.folder / "images/09.png")
    archive.images[3] |= {"split": "train"}
    archive.images[9] |= {"split": "test"}
    said = archive.check()["near-duplicates"]
    assert said.startswith("1 images of val and test") and "'03' (train), '09' (test)" in said


def test_unusable_images_are_a_failure_with_the_first_reason(tmp_path: Path) -> None:
    archive = _Archive(tmp_path)
    for number in range(5):
        (archive.folder / f"images/{number:02d}.png").write_bytes(b"no picture")
    said = archive.check()
    assert said["images"].startswith("FAIL") and "5 of 30 images cannot be used" in said["images"]
    assert "00.png" in said["images"] and not said["classes"].startswith("FAIL")
    assert "5 images cannot be used. The first" in archive.check(max_reject_share=0.5)["images"]


def test_bands_that_cannot_be_read_are_found(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    archive = _Archive(tmp_path, 3)
    bands = np.zeros((5, 60, 80), np.uint16)
    options = {"driver": "GTiff", "height": 60, "width": 80, "count": 5, "dtype": "uint16"}
    with rasterio.open(archive.folder / "images/scene.tif", "w", **options) as file:
        file.write(bands)
    said = archive.check(bands=(7, 1, 2))["images"]
    assert said.startswith("FAIL") and "scene.tif" in said and "band" in said


def test_what_hinders_reading_is_one_failure_that_others_refer_to(tmp_path: Path) -> None:
    archive = _Archive(tmp_path)
    (archive.folder / "data.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    said = archive.check()
    assert said["images"].startswith("FAIL") and "two kinds" in said["images"]
    assert "See the line on its images" in said["pairs"] and "See the line" in said["classes"]


def test_once_the_corpus_is_made_its_figures_are_shown(tmp_path: Path) -> None:
    archive = _Archive(tmp_path)
    archive.check()
    corpus.run(archive.params(), Paths(tmp_path))
    (line,) = archive.check().values()
    assert line.startswith("30 images and 30 scene graphs, 0 images rejected; 0 images of val and test look")


def test_an_archive_without_annotations_gives_no_pairs(tmp_path: Path) -> None:
    archive = _Archive(tmp_path)
    archive.check()
    (archive.folder / "annotations.json").unlink()
    said = {name: check for name, check in archive_checks(archive.params(), Paths(tmp_path), "yard")}
    assert said["pairs of yard"]() == "none: no image has a scene graph"


@pytest.mark.skipif(not (SHARED / "cars").is_dir(), reason="the photographs are not beside the repository")
def test_frames_of_videos_in_several_splits(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/yard").symlink_to(SHARED / "cars")
    params = _Archive(tmp_path / "other", 0).params()
    said = {name: check() for name, check in archive_checks(params, Paths(tmp_path), "yard")}
    assert said["near-duplicates of yard"].startswith("29 images of val and test look like images of another")
    assert "class1" in said["classes of yard"]
