"""YOLO files as people publish them: every habit costs what it must and no more."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.base.errors import UserError
from pipeline.corpus.yolo import KIND
from tests.pipeline.corpus.annotated import POINTER, read
from tests.pipeline.corpus.test_registry import shared_archive

FILE = "labels/a.txt"
LINE = "0 0.25 0.5 0.2 0.5"  # of 100 x 80 pixels
BOX = ("car", (15.0, 20.0, 20.0, 40.0))
CLASSES = {"classes.txt": "car\nbus\n"}


@pytest.mark.parametrize(
    ("text", "expected", "counts"),
    [
        (LINE, [BOX], {}),
        ("", [], {}),
        ("\ufeff" + LINE + "\r\n\r\n", [BOX], {}),
        (LINE + " 0.9", [BOX], {}),
        ("0.0 0.25 0.5 0.2 0.5", [BOX], {}),
        ("1" + LINE[1:], [("bus", BOX[1])], {}),
        ("2" + LINE[1:], [], {"boxes_left_out": 1}),
        ("-1" + LINE[1:], [], {"boxes_left_out": 1}),
        ("0.5" + LINE[1:], [], {"boxes_left_out": 1}),
        ("car" + LINE[1:], [], {"boxes_left_out": 1}),
        ("0 0 0 0.2 0.5", [("car", (-10.0, -20.0, 20.0, 40.0))], {}),
        ("0 25 50 20 50", [], {"boxes_left_out": 1}),
        ("0 0.25 0.5 0 0.5", [], {"boxes_left_out": 1}),
        ("0 0.25 0.5 -0.2 0.5", [], {"boxes_left_out": 1}),
        ("0 nan 0.5 0.2 0.5\n" + LINE, [BOX], {"boxes_left_out": 1}),
        ("0 0.25 0.5 0.2\n" + LINE, [BOX], {"boxes_left_out": 1}),
        ("0 0.1 0.1 0.2 0.1 0.2 0.2 0.1\n" + LINE, [BOX], {"boxes_left_out": 1}),
    ],
)
def test_one_line_costs_itself_at_most(
    text: str, expected: list[Any], counts: dict[str, int], tmp_path: Path
) -> None:
    result = read(KIND, tmp_path, {FILE: text, **CLASSES})
    assert (result.boxes("a"), result.counts, result.reasons) == (expected, counts, [])
    assert list(result.found) == ["a"]


@pytest.mark.parametrize(
    ("text", "oriented", "corners"),
    [
        ("0 0.1 0.25 0.3 0.25 0.3 0.5 0.1 0.5", [True], [4]),
        ("0 0.1 0.25 0.3 0.25 0.3 0.5", [False], [3]),
        (
            "0 0.1 0.25 0.3 0.25 0.3 0.5 0.1 0.5\n0 0.1 0.25 0.3 0.25 0.3 0.5 0.1 0.5 0.05 0.3",
            [False, False],
            [4, 5],
        ),
    ],
)
def test_outlines(text: str, oriented: list[bool], corners: list[int], tmp_path: Path) -> None:
    found = read(KIND, tmp_path, {FILE: text, **CLASSES}).found["a"].boxes
    assert found is not None
    assert [box.oriented for box in found] == oriented and [len(box.outline) for box in found] == corners
    assert [(round(x, 3), round(y, 3)) for x, y in found[0].outline[:3]] == [(10, 20), (30, 20), (30, 40)]


@pytest.mark.parametrize(
    "lists",
    [
        {"data.yaml": "names: [car, bus]\nnc: 2\n"},
        {"data.yaml": "names:\n  0: car\n  1: bus\ntrain: ../x\n"},
        {"dataset.yml": "path: x\nnames: {'1': bus, '0': car}\n"},
        {"obj.names": "car\r\nbus\r\n"},
        {"labels/classes.txt": "\ufeffcar\nbus"},
        {"data.yaml": "names: [car, bus]\n", "classes.txt": "car\nbus\n"},
    ],
)
def test_lists_of_classes(lists: dict[str, str], tmp_path: Path) -> None:
    assert read(KIND, tmp_path, {FILE: LINE, **lists}).boxes() == [BOX]


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({}, "nothing says what the classes"),
        ({"data.yaml": "names: [car]\n", "classes.txt": "bus\n"}, "differ from those of classes.txt"),
        ({"data.yaml": "names: 3\n"}, "no list and no mapping"),
        ({"data.yaml": "names: {x: car}\n"}, "no whole number"),
        ({"data.yaml": "names: [car, true]\n"}, "field 'names[1]': the value is no text"),
        ({"data.yaml": "names: [car, null]\n"}, "field 'names[1]': the field is missing"),
        ({"data.yaml": POINTER}, "a git-LFS pointer"),
        ({"classes.txt": POINTER}, "a git-LFS pointer"),
        ({"labels/a.txt": POINTER, **CLASSES}, "a git-LFS pointer"),
        ({"data.yaml": "names: [a]\nx: !!python/name:os.x\n"}, "not YAML"),
        ({"data.yaml": "names: [\n"}, "not YAML"),
        ({"classes.txt": "a\u0007b\n"}, "control character"),
        ({"classes.txt": b"\xff\xff"}, "neither UTF-8"),
    ],
)
def test_without_usable_names_of_classes_nothing_is_read(
    lists: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        read(KIND, tmp_path, {FILE: LINE, **lists})
    assert said in str(caught.value) and caught.value.problem.file


def test_a_pointer_among_others_is_a_reject(tmp_path: Path) -> None:
    result = read(KIND, tmp_path, {FILE: LINE, "labels/b.txt": POINTER, **CLASSES})
    assert result.boxes() == [BOX] and list(result.found) == ["a"]
    assert result.reasons == ["the file is a git-LFS pointer, not the file itself"]


def test_keypoints_behind_the_box_are_passed_by(tmp_path: Path) -> None:
    files = {FILE: LINE + " 0.1 0.1 2 0.2 0.2 2", "data.yaml": "names: [car]\nkpt_shape: [2, 3]\n"}
    assert read(KIND, tmp_path, files).boxes() == [BOX]


@pytest.mark.parametrize(
    ("labels", "images"),
    [
        (("labels/train/a.txt", "labels/val/a.txt"), ("images/train/a.jpg", "images/val/a.jpg")),
        (("train/labels/a.txt", "valid/labels/a.txt"), ("train/images/a.jpg", "valid/images/a.jpg")),
    ],
)
def test_published_layouts(labels: tuple[str, ...], images: tuple[str, ...], tmp_path: Path) -> None:
    result = read(KIND, tmp_path, {labels[0]: LINE, labels[1]: "", **CLASSES}, images)
    assert [said.split for said in result.found.values()] == ["train", "val"] and not result.rejects.rows
    assert [len(said.boxes or ()) for said in result.found.values()] == [1, 0]


def test_darknet_s_lists_tell_the_split(tmp_path: Path) -> None:
    files = {
        "obj_train_data/a.txt": LINE, "obj_train_data/b.txt": LINE, "obj.names": "car",
        "train.txt": "data/obj_train_data/a.jpg\n", "test.txt": "data/obj_train_data/b.jpg\n",
    }  # fmt: skip
    result = read(KIND, tmp_path, files, ("obj_train_data/a.jpg", "obj_train_data/b.jpg"))
    assert [said.split for said in result.found.values()] == ["train", "test"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=60) | st.text(alphabet="01289.-eE, \n\x00ax²１", max_size=60).map(str.encode),
    names=st.binary(max_size=20),
)
def test_any_bytes_are_read_or_refused(data: bytes, names: bytes, tmp_path: Path) -> None:
    try:
        result = read(KIND, tmp_path, {FILE: LINE.encode() + b"\n" + data, "classes.txt": b"car\n" + names})
    except UserError as error:
        assert "classes.txt" in str(error)
    else:
        assert len(result.found) + len(result.rejects.rows) == 1


def test_the_cars_are_read_whole() -> None:
    result = shared_archive("cars")
    assert sum(len(said.boxes or ()) for said in result.found.values()) == 9548
    assert len(result.found) == 367 and not result.rejects.rows and not result.counts
    assert {said.split for said in result.found.values()} == {"train", "val", "test"}
