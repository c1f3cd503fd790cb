"""Every layout is read as it is published, and what is wrong in it is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import UserError
from tests.pipeline.corpus.annotated import POINTER
from tests.trainer.benchmarks.tiny import (
    PATTERNCOM,
    make_circo,
    make_cirr,
    make_fashioniq,
    make_patterncom,
    write_image,
    write_json,
    write_lines,
)
from trainer.benchmarks.registry import BENCHMARKS, read_split
from trainer.benchmarks.types import BenchmarkSplit

MAKE = {"cirr": make_cirr, "fashioniq": make_fashioniq, "circo": make_circo, "patterncom": make_patterncom}


def _edit(path: Path, change: Callable[[Any], None]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize("raw", [False, True])
def test_cirr(tmp_path: Path, raw: bool) -> None:
    found = read_split("cirr", make_cirr(tmp_path, raw=raw), "val")
    assert (found.reference_removed, found.labelled) == (True, True)
    (part,) = found.categories
    assert list(part.gallery) == [f"dev-{number}-0-img0" for number in range(8)]
    assert all(path.is_file() for path in part.gallery.values())
    query = part.queries[0]
    assert (query.query_id, query.reference, query.text) == ("101", "dev-0-0-img0", "make it blue")
    assert (query.target, query.right) == ("dev-1-0-img0", ("dev-1-0-img0",))
    assert set(query.members) == {f"dev-{number}-0-img0" for number in range(1, 6)}


def test_cirr_test1_has_no_labels(tmp_path: Path) -> None:
    found = read_split("cirr", make_cirr(tmp_path), "test1")
    assert not found.labelled
    assert [query.target for query in found.categories[0].queries] == [None, None]
    assert [query.right for query in found.categories[0].queries] == [(), ()]
    assert len(found.categories[0].queries[0].members) == 5


def test_fashioniq_searches_every_category_apart(tmp_path: Path) -> None:
    found = read_split("fashioniq", make_fashioniq(tmp_path), "val")
    assert not found.reference_removed
    assert [part.name for part in found.categories] == ["dress", "shirt", "toptee"]
    assert [next(iter(part.gallery)) for part in found.categories] == ["BVD0", "BVS0", "BVT0"]
    assert {path.suffix for path in found.categories[0].gallery.values()} == {".png", ".jpg"}
    first, second = found.categories[1].queries
    assert (first.reference, first.target, first.text) == ("BVS0", "BVS1", "is blue and a red car")
    assert second.text == "it is green"


def test_circo(tmp_path: Path) -> None:
    found = read_split("circo", make_circo(tmp_path), "val")
    assert not found.reference_removed
    (part,) = found.categories
    assert list(part.gallery) == [str(number) for number in range(100, 107)]
    query = part.queries[0]
    assert (query.query_id, query.reference, query.target) == ("0", "100", "101")
    assert query.right == ("101", "104", "105")
    assert query.text == "is a blue car"
    assert query.aspects == ("cardinality", "negation")


def test_circo_test_has_no_labels(tmp_path: Path) -> None:
    found = read_split("circo", make_circo(tmp_path), "test")
    assert not found.labelled and found.categories[0].queries[0].right == ()
    assert len(found.categories[0].gallery) == 7


def _asked(benchmark: BenchmarkSplit, attribute: str) -> list[tuple[str, str, tuple[str, ...]]]:
    (part,) = (part for part in benchmark.categories if part.name == attribute)
    return [(query.reference, query.text, query.right) for query in part.queries]


def test_patterncom_asks_for_every_other_value_of_the_class(tmp_path: Path) -> None:
    found = read_split("patterncom", make_patterncom(tmp_path), "all")
    assert not found.reference_removed
    assert len(found.categories[0].gallery) == 12  # the river that no attribute names is searched as well
    assert _asked(found, "color") == [
        ("airplane001.jpg", "grey", ("airplane003.jpg",)),
        ("airplane002.jpg", "grey", ("airplane003.jpg",)),
        ("airplane003.jpg", "white", ("airplane001.jpg", "airplane002.jpg")),
    ]


def test_patterncom_takes_some_classes_for_one(tmp_path: Path) -> None:
    found = read_split("patterncom", make_patterncom(tmp_path), "all")
    assert _asked(found, "density") == [
        ("denseresidential001.jpg", "sparse", ("sparseresidential001.jpg",)),
        ("sparseresidential001.jpg", "dense", ("denseresidential001.jpg",)),
    ]
    assert _asked(found, "existence")[0] == ("harbor001.jpg", "no boats", ("ferryterminal001.jpg",))


def test_patterncom_classes_that_are_one_only_as_answers(tmp_path: Path) -> None:
    """Under color a bridge and an overpass have values of their own, but both can be right."""
    root = make_patterncom(tmp_path)
    write_image(root / "images/bridge/bridge002.jpg", 50)
    with open(root / "patternnet.csv", "a") as listing:
        listing.write("images/bridge/bridge002.jpg 50 bridge\n")
    lines = ["bridge001.jpg,color,grey", "bridge002.jpg,color,red", "overpass001.jpg,color,red"]
    write_lines(root / "PatternCom/color.csv", lines)
    assert _asked(read_split("patterncom", root, "all"), "color") == [
        ("bridge001.jpg", "red", ("bridge002.jpg", "overpass001.jpg")),
        ("bridge002.jpg", "grey", ("bridge001.jpg",)),
    ]


def test_patterncom_keeps_a_query_that_nothing_answers(tmp_path: Path) -> None:
    """Of an image that stands twice the last row says its value, as in the published evaluation."""
    root = make_patterncom(tmp_path)
    write_lines(root / "PatternCom/color.csv", ["airplane001.jpg,color,grey", "airplane001.jpg,color,white"])
    assert _asked(read_split("patterncom", root, "all"), "color") == [
        ("airplane001.jpg", "white", ("airplane001.jpg",)),
        ("airplane001.jpg", "grey", ()),
    ]


@pytest.mark.parametrize(
    ("layout", "file", "field", "blank", "text"),
    [
        ("cirr", "cirr/captions/cap.rc2.val.json", "caption", " ", " "),
        ("fashioniq", "captions/cap.dress.val.json", "captions", ["", " ?"], ""),
        ("circo", "annotations/val.json", "relative_caption", "", ""),
    ],
)
def test_a_blank_text_is_kept_as_published(
    tmp_path: Path, layout: str, file: str, field: str, blank: Any, text: str
) -> None:
    root = MAKE[layout](tmp_path)
    _edit(root / file, _set(0, field, blank))
    assert read_split(layout, root, "val").categories[0].queries[0].text == text


@pytest.mark.parametrize("layout", MAKE)
def test_a_missing_file_is_named(tmp_path: Path, layout: str) -> None:
    root = MAKE[layout](tmp_path)
    file = {
        "cirr": "cirr/captions/cap.rc2.val.json",
        "fashioniq": "image_splits/split.shirt.val.json",
        "circo": "annotations/val.json",
        "patterncom": "PatternCom/shape.csv",
    }[layout]
    (root / file).unlink()
    with pytest.raises(UserError, match="file is missing") as raised:
        read_split(layout, root, BENCHMARKS[layout].splits[0])
    assert raised.value.problem.file == str(root / file)


@pytest.mark.parametrize(
    ("layout", "file"),
    [
        ("cirr", "cirr/image_splits/split.rc2.val.json"),
        ("fashioniq", "captions/cap.shirt.val.json"),
        ("circo", "COCO2017_unlabeled/annotations/image_info_unlabeled2017.json"),
        ("patterncom", "patternnet.csv"),
        ("patterncom", "PatternCom/shape.csv"),
    ],
)
def test_a_pointer_of_git_lfs_is_named(tmp_path: Path, layout: str, file: str) -> None:
    root = MAKE[layout](tmp_path)
    (root / file).write_text(POINTER)
    with pytest.raises(UserError, match="git lfs pull") as raised:
        read_split(layout, root, BENCHMARKS[layout].splits[0])
    assert raised.value.problem.file == str(root / file)


def _set(row: int, field: str, value: Any) -> Callable[[Any], None]:
    return lambda rows: rows[row].__setitem__(field, value)


def _drop(row: int, field: str) -> Callable[[Any], None]:
    return lambda rows: rows[row].pop(field)


@pytest.mark.parametrize(
    ("layout", "file", "change", "row", "field"),
    [
        ("cirr", "cirr/captions/cap.rc2.val.json", _set(1, "reference", "dev-9"), 1, "reference"),
        ("cirr", "cirr/captions/cap.rc2.val.json", _set(2, "target_hard", "dev-0-0-img0"), 2, "target_hard"),
        ("cirr", "cirr/captions/cap.rc2.val.json", _set(0, "target_hard", "dev-0-0-img0"), 0, "target_hard"),
        ("cirr", "cirr/captions/cap.rc2.val.json", _drop(0, "target_hard"), 0, "target_hard"),
        ("cirr", "cirr/captions/cap.rc2.val.json", _set(0, "caption", 7), 0, "caption"),
        ("cirr", "cirr/captions/cap.rc2.val.json", _set(0, "img_set", []), 0, "img_set"),
        ("cirr", "cirr/captions/cap.rc2.val.json", _set(0, "img_set", {"members": ["x"]}), 0, "members"),
        ("cirr", "cirr/captions/cap.rc2.val.json", _set(1, "pairid", None), 1, "pairid"),
        ("fashioniq", "captions/cap.shirt.val.json", _set(1, "candidate", "BVD0"), 1, "candidate"),
        ("fashioniq", "captions/cap.shirt.val.json", _drop(0, "target"), 0, "target"),
        ("fashioniq", "captions/cap.shirt.val.json", _set(0, "captions", "one"), 0, "captions"),
        ("fashioniq", "captions/cap.shirt.val.json", _set(0, "captions", ["a", 3]), 0, "captions"),
        ("circo", "annotations/val.json", _set(0, "gt_img_ids", [101, 999]), 0, "gt_img_ids"),
        ("circo", "annotations/val.json", _set(0, "gt_img_ids", [104]), 0, "target_img_id"),
        ("circo", "annotations/val.json", _set(1, "reference_img_id", True), 1, "reference_img_id"),
        ("circo", "annotations/val.json", _set(1, "relative_caption", None), 1, "relative_caption"),
    ],
)
def test_a_malformed_field_is_named(
    tmp_path: Path, layout: str, file: str, change: Callable[[Any], None], row: int, field: str
) -> None:
    root = MAKE[layout](tmp_path)
    _edit(root / file, change)
    with pytest.raises(UserError) as raised:
        read_split(layout, root, "val")
    problem = raised.value.problem
    assert (problem.file, problem.row, problem.field) == (str(root / file), row, field)
    assert problem.remedy


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("airplane009.jpg,color,white", "image"),
        ("airplane001.jpg,color", "value"),
        ("airplane001.jpg,,x", "attribute"),
    ],
)
def test_a_malformed_patterncom_row_is_named(tmp_path: Path, line: str, field: str) -> None:
    root = make_patterncom(tmp_path)
    write_lines(root / "PatternCom/color.csv", [*PATTERNCOM["color"], line])
    with pytest.raises(UserError) as raised:
        read_split("patterncom", root, "all")
    problem = raised.value.problem
    assert (problem.file, problem.row, problem.field) == (str(root / "PatternCom/color.csv"), 3, field)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.png"])
def test_an_image_outside_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    root = make_cirr(tmp_path)
    _edit(root / "cirr/image_splits/split.rc2.val.json", lambda values: values.update(out=path))
    with pytest.raises(UserError, match="leads out") as raised:
        read_split("cirr", root, "val")
    assert raised.value.problem.field == "out"


@pytest.mark.parametrize(
    ("text", "reason"), [("{", "no JSON"), ("[]", "no JSON object"), ("\xff", "no JSON")]
)
def test_a_file_that_is_no_object(tmp_path: Path, text: str, reason: str) -> None:
    root = make_cirr(tmp_path)
    (root / "cirr/image_splits/split.rc2.val.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=reason):
        read_split("cirr", root, "val")


def test_rows_that_are_no_objects(tmp_path: Path) -> None:
    root = make_circo(tmp_path)
    write_json(root / "annotations/val.json", [1])
    with pytest.raises(UserError, match="row 0: the row is no JSON object"):
        read_split("circo", root, "val")
    write_json(root / "COCO2017_unlabeled/annotations/image_info_unlabeled2017.json", {"images": [7]})
    with pytest.raises(UserError, match="field 'id'"):
        read_split("circo", root, "val")


def test_ids_stand_once(tmp_path: Path) -> None:
    root = make_cirr(tmp_path)
    _edit(root / "cirr/captions/cap.rc2.val.json", _set(1, "pairid", 101))
    with pytest.raises(UserError, match=r"2 queries have the same id \(got '101'"):
        read_split("cirr", root, "val")


def test_no_image_and_no_query(tmp_path: Path) -> None:
    root = make_fashioniq(tmp_path)
    write_json(root / "captions/cap.dress.val.json", [])
    with pytest.raises(UserError, match="has no query"):
        read_split("fashioniq", root, "val")
    write_json(root / "image_splits/split.dress.val.json", [])
    with pytest.raises(UserError, match="lists no image"):
        read_split("fashioniq", root, "val")


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such layout.*cirr, fashioniq, circo, patterncom"):
        read_split("shoes", tmp_path, "val")
    with pytest.raises(UserError, match=r"no such split.*val, train, test1"):
        read_split("cirr", tmp_path, "test")
    with pytest.raises(UserError, match="no such folder"):
        read_split("cirr", tmp_path / "none", "val")
