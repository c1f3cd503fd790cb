"""COCO files as people publish them: every habit costs what it must and no more."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.base.errors import UserError
from pipeline.corpus import json_rows
from pipeline.corpus.coco import KIND
from pipeline.corpus.tables import Notes, Rejects
from tests.pipeline.corpus.annotated import FILES, SHARED, images, put, read
from tests.pipeline.corpus.test_registry import shared_archive

FILE = "annotations.json"
BOX = ("car", (10.0, 20.0, 30.0, 25.0))


def coco(**changes: Any) -> dict[str, Any]:
    """A file with a box of 30 x 25 at (10, 20) on image a, none on b."""
    return {
        "images": [
            {"id": 1, "file_name": "a.png", "width": 100, "height": 80},
            {"id": 2, "file_name": "b.png"},
        ],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [10, 20, 30, 25], "iscrowd": 0}],
        "categories": [{"id": 3, "name": "car"}, {"id": 4, "name": "never-used"}],
        **changes,
    }


def box(**changes: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 1, "category_id": 3, "bbox": [10, 20, 30, 25], **changes}


def test_an_image_without_annotations_holds_no_objects(tmp_path: Path) -> None:
    result = read(KIND, tmp_path, {FILE: coco()}, (*FILES, "images/unused.png"))
    assert result.boxes("a") == [BOX] and result.found["b"].boxes == []
    assert "unused" not in result.found and not result.counts and not result.rejects.rows


@pytest.mark.parametrize(
    ("annotation", "expected", "counts"),
    [
        (box(bbox=[10.25, 20.5, 3e1, 25]), [("car", (10.25, 20.5, 30.0, 25.0))], {}),
        (box(bbox=[-5, -5, 30, 25]), [("car", (-5.0, -5.0, 30.0, 25.0))], {}),
        (box(bbox=[90, 70, 30, 25]), [("car", (90.0, 70.0, 30.0, 25.0))], {}),
        (box(bbox=[100, 20, 30, 25]), [], {"boxes_left_out": 1}),
        (box(bbox=[-30, 20, 30, 25]), [], {"boxes_left_out": 1}),
        (box(bbox=[10, 20, 0, 25]), [], {"boxes_left_out": 1}),
        (box(bbox=[10, 20, 30, -25]), [], {"boxes_left_out": 1}),
        (box(bbox=[10, float("nan"), 30, 25]), [], {"boxes_left_out": 1}),
        (box(bbox=[10, 20, float("inf"), 25]), [], {"boxes_left_out": 1}),
        (box(bbox=[10, 20, 10**400, 25]), [], {"boxes_left_out": 1}),
        (box(bbox=[10, 20, 30]), [], {"boxes_left_out": 1}),
        (box(bbox=None), [], {"boxes_left_out": 1}),
        (box(bbox="10 20 30 25"), [], {"boxes_left_out": 1}),
        (box(iscrowd=1), [], {"crowds_left_out": 1}),
        (box(iscrowd=True), [], {"crowds_left_out": 1}),
        (box(iscrowd=0.0), [BOX], {}),
        (box(segmentation={"counts": [1, 2], "size": [80, 100]}), [BOX], {"masks_ignored": 1}),
        (box(segmentation={"counts": "ab", "size": [80, 100]}, bbox=[]), [], {"boxes_left_out": 1}),
        (box(segmentation=[]), [BOX], {}),
        (box(segmentation=[[]]), [BOX], {}),
        (box(segmentation=[[10, 20, 40, 20, 40, 45]], bbox=None), [BOX], {}),
        (box(segmentation=[[10, 20, 20, 20, 20, 45], [30, 20, 40, 20, 40, 45]], bbox=[]), [BOX], {}),
        (box(category_id=9), [], {"boxes_left_out": 1}),
        (box(category_id=None), [], {"boxes_left_out": 1}),
        (box(image_id=9), [], {"annotations_without_image": 1}),
        (box(image_id=1.0, category_id="3"), [BOX], {}),
        (box(id=None), [BOX], {}),
        (box(id=[1]), [], {"boxes_left_out": 1}),
        ([], [], {"boxes_left_out": 1}),
    ],
)
def test_one_annotation_costs_itself_at_most(
    annotation: Any, expected: list[Any], counts: dict[str, int], tmp_path: Path
) -> None:
    result = read(KIND, tmp_path, {FILE: coco(annotations=[annotation])})
    assert (result.boxes("a"), result.counts) == (expected, counts)
    assert result.found["b"].boxes == [] and not result.rejects.rows


def test_a_polygon_of_one_part_is_the_outline(tmp_path: Path) -> None:
    outline = [10, 20, 40, 20, 40, 45, 25, 30]
    far = [0, 0, 90, 0, 90, 70]  # of another object, or of another size of the image
    rows = [box(id=1, segmentation=[outline]), box(id=2, segmentation=[far])]
    found = read(KIND, tmp_path, {FILE: coco(annotations=rows)}).found["a"].boxes
    assert found is not None
    assert found[0].outline == ((10, 20), (40, 20), (40, 45), (25, 30)) and not found[0].oriented
    assert found[1].bounds == (10, 20, 30, 25)


def test_a_box_turns_clockwise_as_cvat_says(tmp_path: Path) -> None:
    attributes = {"rotation": 90.0, "occluded": False, "colour": "red"}
    rows = [box(id=1, bbox=[30, 35, 40, 10], attributes=attributes), box(id=2, attributes={"rotation": 0.0})]
    found = read(KIND, tmp_path, {FILE: coco(annotations=rows)}).found["a"].boxes
    assert found is not None and [one.oriented for one in found] == [True, False]
    assert [(round(x), round(y)) for x, y in found[0].outline] == [(55, 20), (55, 60), (45, 60), (45, 20)]
    assert found[0].attributes == ("red",) and found[1].bounds == (10, 20, 30, 25)


@pytest.mark.parametrize(
    "name", ["images\\a%62%20c.png", "https://x.org/up/a%62%20c.png?v=1", "/data/local-files/?d=x/ab c.png"]
)
def test_a_name_may_be_an_address(name: str, tmp_path: Path) -> None:
    contents = coco(images=[{"id": 1, "file_name": name}])
    assert list(read(KIND, tmp_path, {FILE: contents}, ("images/ab c.png", "images/c.png")).found) == ["ab c"]


def test_duplicate_ids_are_said_and_the_first_holds(tmp_path: Path) -> None:
    contents = coco(
        images=[{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}],
        annotations=[box(), box(bbox=[0, 0, 5, 5])],
        categories=[{"id": 3, "name": "car"}, {"id": 3, "name": "bus"}],
    )
    result = read(KIND, tmp_path, {FILE: contents})
    assert result.boxes("a") == [BOX] and "b" not in result.found
    assert result.counts == {"boxes_left_out": 1, "categories_left_out": 1}
    assert result.reasons == ["the id of an image stands twice; the first holds"]
    assert result.rejects.seen == {"scene_graphs": 1}


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ({"id": 1, "file_name": "c.png"}, "there is no usable image of this name"),
        ({"id": 1}, "the field is missing"),
        ({"file_name": "a.png"}, "the field is missing"),
        ({"id": 1, "file_name": "a\u0000.png"}, "the text holds a control character, U+0000"),
        (
            {"id": 1, "file_name": "a.png", "width": 50, "height": 40},
            "the annotations are of an image of 50 x 40",
        ),
        ([], "the value is no JSON object"),
    ],
)
def test_an_image_that_cannot_be_used_is_a_reject(image: Any, reason: str, tmp_path: Path) -> None:
    contents = coco(images=[image, {"id": 2, "file_name": "b.png"}])
    result = read(KIND, tmp_path, {FILE: contents})
    assert list(result.found) == ["b"] and result.reasons[0].startswith(reason)
    assert result.rejects.rows[0]["row"] == 0 and result.rejects.rows[0]["table"] == "scene_graphs"


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("images/a.png", FILES),
        ("C:\\data\\a.png", FILES),
        ("/home/me/a.png", FILES),
        ("a.jpg", FILES),
        ("A.PNG", FILES),
        ("a", FILES),
        ("deep/a.png", ("images/deep/a.png", "images/other/a.png")),
        ("Sa\u0303o.png", ("images/S\u00e3o.png",)),
        ("a.png", ("images/a.png", "images/a.jpg")),
    ],
)
def test_names_of_files_as_other_machines_write_them(
    name: str, files: tuple[str, ...], tmp_path: Path
) -> None:
    contents = coco(images=[{"id": 1, "file_name": name}])
    result = read(KIND, tmp_path, {FILE: contents}, files)
    assert [result.boxes(found) for found in result.found] == [[BOX]]


def test_a_name_that_two_images_can_have_is_a_reject(tmp_path: Path) -> None:
    contents = coco(images=[{"id": 1, "file_name": "a.png"}])
    result = read(KIND, tmp_path, {FILE: contents}, ("images/x/a.png", "images/y/a.png"))
    assert result.reasons == ["the name can mean images/x/a.png or images/y/a.png"]


@pytest.mark.parametrize(
    "order", [("annotations", "images", "categories"), ("categories", "annotations", "images")]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_any_order_encoding_and_line_ends(order: tuple[str, ...], encoding: str, tmp_path: Path) -> None:
    contents = {"info": {"year": 2026}, **{key: coco()[key] for key in order}, "type": "instances"}
    text = json.dumps(contents, indent=1, ensure_ascii=False).replace("\n", "\r\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "_CHUNK", 50)
        result = read(KIND, tmp_path, {FILE: text.encode(encoding)})
    assert result.boxes("a") == [BOX]


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        ({"annotations/instances_train2017.json": "a.png", "annotations/instances_val2017.json": "b.png"},
         {"train": "images/train2017/a.png", "val": "images/val2017/b.png"}),
        ({"train/_annotations.coco.json": "a.png", "test/_annotations.coco.json": "a.png"},
         {"train": "train/a.png", "test": "test/a.png"}),
    ],
)  # fmt: skip
def test_published_layouts_tell_the_split(
    files: dict[str, str], splits: dict[str, str], tmp_path: Path
) -> None:
    contents = {file: coco(images=[{"id": 1, "file_name": name}]) for file, name in files.items()}
    contents["annotations/captions_train2017.json"] = coco()
    result = read(KIND, tmp_path, contents, list(splits.values()))
    assert {said.split for said in result.found.values()} == set(splits)
    assert not result.rejects.rows and not result.counts


def test_further_values_go_where_they_belong(tmp_path: Path) -> None:
    image = {
        "id": 1, "file_name": "a.png", "site": "north", "video": "v7", "date_captured": "2024-05-01 10:00:00",
        "license": 2, "gsd": "0.3", "bounds": [1, 2, 3, 4], "scene": "airport", "split": "valid",
        "coco_url": "http://x/a", "sun": 41.5, "tags": {"a": [1]}, "empty": None, "odd": "a\u202eb",
    }  # fmt: skip
    contents = coco(images=[image], licenses=[{"id": 2, "name": "CC BY 4.0", "url": "u"}])
    result = read(KIND, tmp_path, {FILE: contents})
    said = result.found["a"]
    assert (said.place, said.scene, said.split) == ("north", "airport", "val")
    assert said.extras == {
        "site": "north", "video": "v7", "date": "2024-05-01 10:00:00", "licence": "CC BY 4.0", "gsd": 0.3,
        "bounds": [1.0, 2.0, 3.0, 4.0], "coco_url": "http://x/a", "sun": 41.5,
    }  # fmt: skip
    assert result.counts == {"extras_left_out": 2}


def test_attributes_are_words(tmp_path: Path) -> None:
    marks = {"occluded": True, "colour": "red", "parked": True, "moving": False, "rotation": 0.5, "n": "12"}
    found = read(KIND, tmp_path, {FILE: coco(annotations=[box(attributes=marks)])}).found["a"].boxes
    assert found is not None and found[0].attributes == ("red", "parked")


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ('{"annotations": []}', "no list 'images'"),
        ('{"images": 7, "annotations": []}', "the value is no list"),
        ('{"images": [{"id": 1}', "',' or ']' expected"),
        ('{"images": [], "images": []}', "a key of the file stands twice"),
        ("", "the file is empty"),
        ("[1]", None),
        ('{"images": []} x', "goes on after its object"),
        (b"\xff\xfe{\x00", "',' or"),
        (b'{"images": [{"\xff', "not UTF-8"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_a_file_that_is_no_coco_is_one_line(contents: Any, said: str | None, tmp_path: Path) -> None:
    if said is None:
        assert not read(KIND, tmp_path, {FILE: contents}).found
        return
    with pytest.raises(UserError) as caught:
        read(KIND, tmp_path, {FILE: contents})
    assert said in str(caught.value) or said in caught.value.problem.remedy or "JSON" in str(caught.value)
    assert FILE in str(caught.value)


def test_annotations_in_front_of_their_images_are_not_held_in_memory(tmp_path: Path) -> None:
    polygon = [[round(10 + n * 1.234567, 6) for n in range(200)]]
    rows = [box(id=n, image_id=1 + n % 2, bbox=[10, 20, 30, 25], segmentation=polygon) for n in range(3000)]
    text = json.dumps({"annotations": rows, **{key: coco()[key] for key in ("images", "categories")}})
    put(tmp_path, {FILE: text})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "_CHUNK", 1 << 16)
        tracemalloc.start()
        found = KIND.read(tmp_path, images(), Notes(), Rejects())
        assert len(next(found).boxes or ()) == 1500
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < len(text) / 2, f"{peak} bytes for a file of {len(text)}"


def test_images_without_a_list_of_annotations_are_not_empty(tmp_path: Path) -> None:
    result = read(KIND, tmp_path, {FILE: {"images": coco()["images"], "categories": []}})
    assert result.found["a"].boxes is None


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([1, 3, "a.png"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["id", "file_name", "image_id", "category_id", "bbox", "segmentation", "name", "x"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.fixed_dictionaries({}, optional=dict.fromkeys(coco(), ODD)))
def test_any_json_is_read_or_refused(contents: dict[str, Any], tmp_path: Path) -> None:
    whole = coco()
    for key, value in contents.items():
        whole[key] = [*whole[key], *value] if isinstance(value, list) else value
    try:
        read(KIND, tmp_path, {FILE: json.dumps(whole)})
    except UserError as error:
        assert FILE in str(error)


def test_the_airports_are_read_whole() -> None:
    result = shared_archive("airports")
    assert sum(len(said.boxes or ()) for said in result.found.values()) == 7586
    assert len(result.found) == 1061 and not result.rejects.rows and not result.counts
    assert len({said.place for said in result.found.values()}) > 20 and SHARED.is_dir()
