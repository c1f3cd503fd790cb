"""Queries and their edits, as properties: sound rows come out as they went in, any other row is rejected."""

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base.schemas import QUERIES
from pipeline.corpus.checks import Record, Rejected
from pipeline.corpus.plain_edits import EditReader
from pipeline.corpus.queries import KINDS, Gallery, query_row
from pipeline.graph.edits import Edit, apply_edits, edit_to_row, edits_from_row
from pipeline.graph.scene_graph import POSITIONS, Group, GroupGraph

NAMES = ("car", "tree", "hangar", "storage tank")
GRAPH = GroupGraph(
    "airport",
    (Group("3", "car", ("red",), "top left"), Group("", "tree"), Group("many", "hangar", ("white",))),
    ((0, "next to", 2), (1, "above", 0)),
)
SPLITS = {"a": "train", "b": "train", "c": "train", "d": "val", "bare": "train"}


def _gallery() -> Gallery:
    return Gallery(
        splits=SPLITS,
        id_of=lambda name: name,
        rejected={"lost": "the image file is missing"},
        graphless={"bare": "its reference has no scene graph"},
        graph_of=lambda image_id: GRAPH,
        reader=EditReader(NAMES),
    )


def _query(**changes: Any) -> dict[str, Any]:
    query = {"pair_id": 7, "split": "train", "reference": "a", "target": "b", "modification": "more cars"}
    return {**query, **changes}


groups = st.builds(
    Group,
    st.sampled_from(["", "1", "12", "some"]),
    st.sampled_from(NAMES),
    st.lists(st.sampled_from(["red", "small"]), max_size=2, unique=True).map(tuple),
    st.none() | st.sampled_from([cell for row in POSITIONS for cell in row]),
)


@st.composite
def fitting_edits(draw: st.DrawFn) -> list[Edit]:
    """Edits that the graph allows: groups and relations of it removed, others added."""
    removed = draw(st.lists(st.sampled_from(GRAPH.groups), unique=True, max_size=3))
    edits = [Edit("remove", "object", group) for group in removed]
    edits += [Edit("add", "object", group) for group in draw(st.lists(groups, max_size=3))]
    here = {group.name for group in apply_edits(GRAPH, edits).groups}
    for subject, object_ in draw(st.lists(st.tuples(*[st.sampled_from(NAMES)] * 2), max_size=2)):
        if {subject, object_} <= here:
            edits.append(Edit("add", "relation", None, subject, "beside", object_))
    return edits


@settings(max_examples=200, deadline=None)
@given(fitting_edits(), st.sampled_from(KINDS), st.lists(st.sampled_from(["b", "c", "lost"]), max_size=4))
def test_a_sound_query_comes_out_as_it_went_in(edits: list[Edit], kind: str, targets: list[str]) -> None:
    entries = [
        {key: value for key, value in edit_to_row(edit).items() if value is not None} for edit in edits
    ]
    row, removed = query_row(
        Record.checked(_query(edits=entries, kind=kind, targets=targets)), _gallery(), set()
    )
    row = pa.Table.from_pylist([row], schema=QUERIES).to_pylist()[0]
    assert edits_from_row(row["edits"]) == tuple(edits)
    assert set(row["target_ids"]) == {"b", *targets} - {"lost"} and removed == targets.count("lost")
    assert (row["query_id"], row["kind"], row["split"]) == ("7", kind, "train")


KEYS = ("pair_id", "split", "reference", "target", "targets", "modification", "kind", "family", "edits")
EDIT_KEYS = ("op", "kind", "quantity", "name", "attributes", "position", "subject", "predicate", "object")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(
        ["a", "b", "d", "lost", "bare", "train", "add", "remove", "object", "relation", "car", "\ud800"]
    )
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(EDIT_KEYS), inner, max_size=6)
    ),
    max_leaves=12,
)


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING, min_size=1, max_size=3))
def test_any_query_is_taken_or_rejected(changes: dict[str, Any]) -> None:
    try:
        row, _ = query_row(Record.checked(_query(**changes)), _gallery(), {"8"})
    except Rejected as error:
        assert error.reason and error.remedy and error.field
        pa.array([error.value])
    else:
        row = pa.Table.from_pylist([row], schema=QUERIES).to_pylist()[0]
        assert SPLITS[row["reference_id"]] == row["split"] and row["reference_id"] not in row["target_ids"]
        if row["edits"] is not None:
            apply_edits(GRAPH, edits_from_row(row["edits"]) or ())


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.fixed_dictionaries({}, optional={key: SCALARS for key in EDIT_KEYS}), min_size=1, max_size=3)
)
def test_any_edits_are_taken_or_rejected(edits: list[dict[str, Any]]) -> None:
    try:
        row, _ = query_row(Record.checked(_query(edits=edits)), _gallery(), set())
    except Rejected as error:
        assert error.field is not None and error.field.startswith("edits")
    else:
        pa.Table.from_pylist([row], schema=QUERIES)
