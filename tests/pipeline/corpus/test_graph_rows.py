"""Scene graphs in Visual Genome's shape: what is taken, and what is rejected in which field."""

import copy
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.schemas import SCENE_GRAPHS
from pipeline.corpus.checks import Rejected
from pipeline.corpus.scene_graphs import graph_row
from pipeline.corpus.tables import Notes
from pipeline.graph.notation import serialise
from pipeline.graph.scene_graph import graph_from_row, group_objects

GRAPH: dict[str, Any] = {
    "image_id": "a",
    "scene": "airport",
    "objects": [
        {"object_id": 1, "name": "car", "attributes": ["red"], "bbox": [1, 2, 10, 5]},
        {
            "object_id": 2,
            "names": ["hangar", "shed"],
            "attributes": None,
            "bbox": dict(x=20, y=30, w=5.5, h=9),
        },
        {"object_id": 3, "name": " tree ", "x": 0, "y": 0, "w": 3, "h": 3},
    ],
    "relationships": [{"relationship_id": 9, "subject_id": 1, "predicate": "next to", "object_id": 2}],
}


def _row(graph: Any = GRAPH) -> dict[str, Any]:
    return graph_row(graph, "a", 64, 48)


def test_each_form_of_an_object_is_taken() -> None:
    row = _row()
    assert [entry["name"] for entry in row["objects"]] == ["car", "hangar", "tree"]
    assert row["objects"][1]["bbox"] == {"x": 20.0, "y": 30.0, "w": 5.5, "h": 9.0}
    assert row["objects"][2]["bbox"] == {"x": 0.0, "y": 0.0, "w": 3.0, "h": 3.0}
    assert row["objects"][1]["attributes"] == []
    assert row["relationships"] == [{"subject_id": 1, "predicate": "next to", "object_id": 2}]
    assert (row["width"], row["height"], row["scene"]) == (64, 48, "airport")


def test_what_may_be_missing_may_be_missing() -> None:
    row = _row({"objects": [{"object_id": 0, "name": "field"}]})
    assert row["scene"] is None and row["relationships"] == [] and row["objects"][0]["bbox"] is None


@pytest.mark.parametrize("box", [None, [], {}, float("nan"), [None] * 4])
def test_a_box_that_says_nothing_is_none(box: Any) -> None:
    row, notes = _noted(_changed("objects.0.bbox", box))
    assert row["objects"][0]["bbox"] is None and not +notes.counts


def test_a_graph_may_be_empty() -> None:
    row = _row({"scene": "sea", "objects": []})
    assert (row["scene"], row["objects"], row["relationships"]) == ("sea", [], [])
    assert _row({"objects": [], "relationships": GRAPH["relationships"]})["relationships"] == []


def _changed(path: str, value: Any) -> dict[str, Any]:
    graph = copy.deepcopy(GRAPH)
    place: Any = graph
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step in steps:
        place = place[step]
    place[last] = value
    return graph


@pytest.mark.parametrize(
    ("path", "value", "field", "said"),
    [
        ("objects", None, "objects", "missing"),
        ("objects", {}, "objects", "no list"),
        ("objects.0", "car", "objects[0]", "no JSON object"),
        ("objects.0.object_id", None, "objects[0].object_id", "missing"),
        ("objects.0.object_id", "1", "objects[0].object_id", "whole number"),
        ("objects.0.object_id", True, "objects[0].object_id", "whole number"),
        ("objects.0.object_id", 2**63, "objects[0].object_id", "whole number"),
        ("objects.0.object_id", 2, "objects[1].object_id", "stands twice"),
        ("objects.0.name", None, "objects[0].name", "missing"),
        ("objects.0.name", "  ", "objects[0].name", "empty"),
        ("objects.0.name", 7, "objects[0].name", "no text"),
        ("objects.0.name", "car\x07", "objects[0].name", "control character"),
        ("objects.0.name", "a\nb", "objects[0].name", "control character"),
        ("objects.0.name", "a\u202eb", "objects[0].name", "direction"),
        ("objects.0.name", "\ud800", "objects[0].name", "surrogate"),
        ("objects.0.name", "x" * 101, "objects[0].name", "101 characters"),
        ("objects.0.attributes", "red", "objects[0].attributes", "no list"),
        ("objects.0.bbox", [1, 2, 3], "objects[0].bbox", "four numbers"),
        ("objects.0.bbox", [1, 2, 3, "4"], "objects[0].bbox", "four numbers"),
        ("objects.0.bbox", [1, 2, 3, True], "objects[0].bbox", "four numbers"),
        ("objects.0.bbox", "1 2 3 4", "objects[0].bbox", "four numbers"),
        ("objects.0.bbox", {"x": 1}, "objects[0].bbox", "four numbers"),
        ("relationships", 3, "relationships", "no list"),
        ("scene", ["airport"], "scene", "no text"),
        ("width", 640, "width", "64 pixels"),
    ],
)
def test_each_fault_is_rejected_in_its_field(path: str, value: Any, field: str, said: str) -> None:
    with pytest.raises(Rejected, match=said) as caught:
        _row(_changed(path, value))
    assert caught.value.field == field
    assert caught.value.remedy
    (caught.value.value or "").encode()


def _noted(graph: Any) -> tuple[dict[str, Any], Notes]:
    notes = Notes()
    return graph_row(graph, "a", 64, 48, notes), notes


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ([1, 2, float("nan"), 4], "not finite"),
        ([1, 2, None, 4], "not finite"),
        ([1, 2, float("inf"), 4], "not finite"),
        ([1, 2, 10**400, 4], "not finite"),
        ([1, 2, 0, 4], "no area"),
        ([1, 2, 5, -4], "no area"),
        ([70, 2, 10, 4], "outside the image, which is 64 x 48"),
        ([-20, 2, 10, 4], "outside"),
        ({"x": 3, "y": 50, "w": 2, "h": 2}, "outside"),
    ],
)
def test_a_box_of_no_use_is_left_out(box: Any, reason: str) -> None:
    row, notes = _noted(_changed("objects.0.bbox", box))
    assert row["objects"][0]["bbox"] is None and row["objects"][1]["bbox"] is not None
    assert +notes.counts == {"boxes_left_out": 1}
    error = notes.first["boxes_left_out"]
    assert isinstance(error, Rejected) and error.field == "objects[0].bbox" and reason in error.reason


@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ([60, 2, 10, 4], (60, 2, 4, 4)),
        ([-2, 2, 10, 4], (0, 2, 8, 4)),
        ([-5, -5, 100, 100], (0, 0, 64, 48)),
        ([3, 40, 6, 20], (3, 40, 6, 8)),
    ],
)
def test_a_box_over_the_edge_is_clipped(box: Any, clipped: tuple[int, ...]) -> None:
    row, notes = _noted(_changed("objects.0.bbox", box))
    assert tuple(row["objects"][0]["bbox"][key] for key in "xywh") == clipped
    assert +notes.counts == {"boxes_clipped": 1}


@pytest.mark.parametrize("attribute", [None, float("nan"), "", " ", 3, "a\x07", ["red"], "x" * 101])
def test_an_attribute_of_no_use_is_left_out(attribute: Any) -> None:
    row, notes = _noted(_changed("objects.0.attributes", ["red", attribute, "big"]))
    assert row["objects"][0]["attributes"] == ["red", "big"]
    assert +notes.counts == {"attributes_left_out": 1}


@pytest.mark.parametrize(
    "relation",
    [
        None,
        3,
        {},
        {"subject_id": 8, "predicate": "near", "object_id": 2},
        {"subject_id": 1, "predicate": "near", "object_id": 8},
        {"subject_id": 1, "predicate": "near", "object_id": None},
        {"subject_id": 1, "predicate": "near", "object_id": float("nan")},
        {"subject_id": 1, "predicate": "", "object_id": 2},
        {"subject_id": 1, "predicate": None, "object_id": 2},
    ],
)
def test_a_relationship_of_no_use_is_left_out(relation: Any) -> None:
    row, notes = _noted(GRAPH | {"relationships": [relation, *GRAPH["relationships"]]})
    assert [entry["predicate"] for entry in row["relationships"]] == ["next to"]
    assert +notes.counts == {"relationships_left_out": 1}


def test_a_merged_id_stands_for_its_object() -> None:
    graph = _changed("objects.0.merged_object_ids", [70, 71.0, 72, 2])
    graph["objects"][1]["merged_object_ids"] = [72]  # 72 could be either
    graph["relationships"] = [
        {"subject_id": 70, "predicate": "near", "object_id": 3},
        {"subject_id": 3, "predicate": "behind", "object_id": 71},
        {"subject_id": 3, "predicate": "under", "object_id": 72},
        {"subject_id": 70, "predicate": "on", "object_id": 71},  # the same object
        {"subject_id": 2, "predicate": "over", "object_id": 3},  # an object of its own
    ]
    row, notes = _noted(graph)
    assert [tuple(entry.values()) for entry in row["relationships"]] == [
        (1, 3, "near"),
        (3, 1, "behind"),
        (2, 3, "over"),
    ]
    assert +notes.counts == {"merged_ids_resolved": 2, "relationships_left_out": 2}


def test_empty_cells_of_pandas_are_nulls_and_whole_numbers_stay_whole() -> None:
    nan = float("nan")
    graph = {
        "scene": nan,
        "width": 64.0,
        "height": nan,
        "objects": [
            {"object_id": 1.0, "name": "car", "attributes": nan, "bbox": nan, "merged_object_ids": nan},
            {"object_id": 2.0, "names": ["hangar"], "name": nan, "x": nan, "y": nan, "w": nan, "h": nan},
        ],
        "relationships": [{"subject_id": 2.0, "predicate": "near", "object_id": 1.0}],
    }
    row, notes = _noted(graph)
    assert row["scene"] is None and not +notes.counts
    assert [(entry["object_id"], entry["bbox"]) for entry in row["objects"]] == [(1, None), (2, None)]
    assert row["relationships"] == [{"subject_id": 2, "predicate": "near", "object_id": 1}]
    assert all(type(entry["object_id"]) is int for entry in row["objects"])
    assert _row(graph | {"relationships": nan})["relationships"] == []
    with pytest.raises(Rejected, match="missing"):
        _row({"objects": [{"object_id": 1, "name": nan}]})
    with pytest.raises(Rejected, match="whole number"):
        _row({"objects": [{"object_id": 1.5, "name": "car"}]})


def test_boxes_may_stand_a_pixel_over_the_edge() -> None:
    assert _row(_changed("objects.0.bbox", [-1, -0.5, 65, 49]))["objects"][0]["bbox"]["w"] == 65


NAMES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12)


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    ids = draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6, unique=True))
    objects = []
    for object_id in ids:
        entry: dict[str, Any] = {"object_id": object_id, "name": draw(NAMES)}
        if draw(st.booleans()):
            entry["attributes"] = draw(st.lists(NAMES, max_size=3))
        if draw(st.booleans()):
            x, y = draw(st.integers(0, 62)), draw(st.integers(0, 46))
            entry["bbox"] = [x, y, draw(st.integers(1, 64 - x)), draw(st.integers(1, 48 - y))]
        objects.append(entry)
    ends = st.sampled_from(ids)
    relations = draw(st.lists(st.tuples(ends, NAMES, ends), max_size=4))
    return {
        "scene": draw(st.none() | NAMES),
        "objects": objects,
        "relationships": [{"subject_id": s, "predicate": p, "object_id": o} for s, p, o in relations],
    }


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_every_sound_graph_reaches_the_table_and_the_prompt(graph: dict[str, Any]) -> None:
    row = pa.Table.from_pylist([_row(graph)], schema=SCENE_GRAPHS).to_pylist()[0]
    assert [(o["object_id"], o["name"]) for o in row["objects"]] == [
        (o["object_id"], o["name"]) for o in graph["objects"]
    ]
    assert len(row["relationships"]) == len(graph["relationships"])
    grouped = group_objects(graph_from_row(row))
    counted = [int(group.quantity) for group in grouped.groups if group.quantity.isdecimal()]
    assert sum(counted) <= len(graph["objects"]) or any(o.get("attributes") for o in graph["objects"])
    lines = serialise(grouped).splitlines()
    assert sum(line.startswith("- ") for line in lines) >= len(grouped.groups)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["object_id", "name", "names", "attributes", "bbox", "subject_id", "predicate", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(objects=ANYTHING, relationships=ANYTHING, scene=ANYTHING)
def test_anything_is_taken_or_rejected(objects: Any, relationships: Any, scene: Any) -> None:
    try:
        row = _row({"objects": objects, "relationships": relationships, "scene": scene})
    except Rejected as error:
        assert error.reason and error.remedy and error.field
    else:
        pa.Table.from_pylist([row], schema=SCENE_GRAPHS)
