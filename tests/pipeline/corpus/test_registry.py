"""Which kind of annotations a folder holds."""

import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.base.errors import UserError
from pipeline.corpus.annotations import ImageFile
from pipeline.corpus.layout import listing, split_of
from pipeline.corpus.registry import KINDS, READERS, kind_of
from tests.pipeline.corpus.annotated import POINTER, SHARED, Read, put, read

VOC = "<annotation><filename>a.png</filename></annotation>"
DOTA = "imagesource:GoogleEarth\ngsd:0.1\n1 1 9 1 9 9 1 9 ship 0\n"
YOLO = "0 0.5 0.5 0.2 0.2\n"
MAP = {"type": "FeatureCollection", "features": []}


def shared_archive(name: str) -> Read:
    """A real archive beside the repository, read with its real images; the test is skipped without it."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    images = {}
    for file in listing(folder):
        if file.startswith("images/"):
            image_id = file.removeprefix("images/").rsplit(".", 1)[0]
            with Image.open(folder / file) as image:
                images[image_id] = ImageFile(image_id, file, *image.size)
    kind = kind_of(folder)
    assert kind is not None
    return read(kind, folder, {}, images)


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"annotations.json": {"images": []}}, "COCO"),
        ({"labels.json": {"info": {}, "images": [], "annotations": []}}, "COCO"),
        ({"annotations/instances_val2017.json": "", "annotations/captions_val2017.json": ""}, "COCO"),
        ({"train/_annotations.coco.json": "{}", "valid/_annotations.coco.json": "{}"}, "COCO"),
        ({"annotations/a.xml": "<x/>"}, "VOC"),
        ({"Annotations/a.xml": VOC, "ImageSets/Main/train.txt": "a\n", "JPEGImages/a.jpg": b""}, "VOC"),
        ({"train/a.xml": '<annotation verified="yes">', "train/a.jpg": b""}, "VOC"),
        ({"labelTxt/a.txt": ""}, "DOTA"),
        ({"train/labelTxt-v1.5/labelTxt/a.txt": DOTA}, "DOTA"),
        ({"annfiles/a.txt": DOTA}, "DOTA"),
        ({"annfiles/a.txt": "1 1 9 1 9 9 1 9 ship 0\n"}, "DOTA"),
        ({"labels/train/a.txt": YOLO, "classes.txt": "car"}, "YOLO"),
        ({"labels/train/a.txt": ""}, "YOLO"),
        ({"labels/license_plate.txt": YOLO, "labels/test.txt": YOLO}, "YOLO"),
        ({"labels/a.txt": YOLO, "notes.json": {"categories": [{"id": 0}], "info": {}}}, "YOLO"),
        ({"obj_train_data/a.txt": YOLO, "obj.names": "car", "train.txt": "obj_train_data/a.jpg"}, "YOLO"),
        ({"train/labels/a.txt": "0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n", "data.yaml": "names: [car]"}, "YOLO"),
        ({"cars.geojson": ""}, "GeoJSON"),
        ({"cars.json": MAP}, "GeoJSON"),
        ({"images/a.jpg": b"", "README.txt": "0 1 2 3 4", "classes.txt": "car"}, "images alone"),
        ({"a.jpg": b"", "a.jpg.aux.xml": "<PAMDataset/>", "scene_graphs.json": []}, "images alone"),
        ({"images/a.jpg": b"", "notes.json": {"a": 1}, "captions.json": [{"images": []}]}, "images alone"),
        ({"README.md": "nothing"}, None),
        ({".hidden/annotations.json": {}, "__MACOSX/a.xml": VOC}, None),
    ],
)
def test_a_folder_is_recognised_by_its_files(files: dict[str, Any], kind: str | None, tmp_path: Path) -> None:
    put(tmp_path, files)
    found = kind_of(tmp_path)
    assert (None if found is None else found.name) == kind
    assert found is None or READERS[found] is KINDS[found.name].read


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"annotations.json": "{}", "annotations/a.xml": VOC, "annotations/b.xml": VOC},
         "COCO (annotations.json) and VOC (annotations/a.xml and 1 more)"),
        ({"labels/a.txt": YOLO, "labelTxt/a.txt": DOTA}, "DOTA (labelTxt/a.txt) and YOLO (labels/a.txt)"),
        ({"annotations.json": "{}", "map.geojson": MAP}, "COCO (annotations.json) and GeoJSON (map.geojson)"),
    ],
)  # fmt: skip
def test_two_kinds_at_once_are_refused_by_name(files: dict[str, Any], named: str, tmp_path: Path) -> None:
    put(tmp_path, files)
    with pytest.raises(UserError) as caught:
        kind_of(tmp_path)
    assert named in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", ["train.json", "data/a.xml", "data/a.txt"])
def test_a_pointer_of_git_lfs_tells_no_kind(name: str, tmp_path: Path) -> None:
    put(tmp_path, {name: POINTER, "labels/b.txt": YOLO, "images/a.jpg": b""})
    with pytest.raises(UserError, match="git lfs pull") as caught:
        kind_of(tmp_path)
    assert caught.value.problem.file == str(tmp_path / name)


def test_images_alone_have_the_split_of_their_folder(tmp_path: Path) -> None:
    files = ("images/train/a.png", "images/valid/b.png", "images/c.png")
    result = read(KINDS["images alone"], tmp_path, {}, files)
    assert {i: said.split for i, said in result.found.items()} == {"train/a": "train", "valid/b": "val"}
    assert all(said.boxes is None for said in result.found.values())


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"annotations.xml": "<annotations/>", "via.json": {}, "notes.txt": ""},
            "annotations.xml and 1 more",
        ),
        ({"via.json": {}, "scene_graphs.json": []}, ""),
        ({"a.png.aux.xml": "<PAMDataset/>", ".cache/x.csv": "", "README.txt": "x"}, ""),
    ],
)
def test_annotations_of_no_kind_are_named(
    files: dict[str, Any], said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    read(KINDS["images alone"], tmp_path, files)
    assert (f"but {said}." in caplog.text) if said else not caplog.text


@pytest.mark.parametrize(
    ("path", "file_too", "split"),
    [
        ("train2017/a.jpg", False, "train"),
        ("images/Validation/a.jpg", False, "val"),
        ("test/train/a.jpg", False, "train"),
        ("images/train.jpg", False, None),
        ("trainval/a.jpg", False, None),
        ("train_val/a.jpg", False, None),
        ("training-centre/a.jpg", False, None),
        ("test valley/a.jpg", False, None),
        ("train_images/a.jpg", False, "train"),
        ("labelTxt-v1.5/DOTA-v1.5_val/a.txt", False, "val"),
        ("instances_test-dev.json", True, None),
        ("instances_test2017.json", True, "test"),
        ("val/_annotations.coco.json", True, "val"),
    ],
)
def test_splits_by_names(path: str, file_too: bool, split: str | None) -> None:
    assert split_of(path, file_too=file_too) == split


def test_loops_of_links_pipes_and_odd_names_do_no_harm(tmp_path: Path) -> None:
    put(tmp_path, {"labels/a.txt": YOLO})
    (tmp_path / "labels/again").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    os.mkfifo(tmp_path / "annotations.json")
    (tmp_path / os.fsdecode(b"\xff.txt")).write_text(YOLO)
    assert listing(tmp_path)[0] == "labels/a.txt"
    found = kind_of(tmp_path)
    assert found is not None and found.name == "YOLO"
