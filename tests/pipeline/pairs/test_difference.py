"""Differences of graphs: the edits are exact, whatever differs."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.graph.edits import apply_edits, edit_to_row, edits_from_row
from pipeline.graph.scene_graph import Group, GroupGraph
from pipeline.pairs.difference import canonical, difference, edits_of, kind_of

GROUPS = st.builds(
    Group,
    st.sampled_from(("1", "2", "3", "many", "")),
    st.sampled_from(("car", "tree", "hangar")),
    st.sampled_from(((), ("small",), ("large",), ("red",), ("small", "red"), ("blue", "large"))),
    st.sampled_from((None, "left", "top right")),
)


@st.composite
def graphs(draw: Any) -> GroupGraph:
    groups = tuple(draw(st.lists(GROUPS, min_size=1, max_size=5)))
    ends = st.integers(0, len(groups) - 1)
    relations = draw(st.lists(st.tuples(ends, st.sampled_from(("next to", "left of")), ends), max_size=3))
    return GroupGraph(draw(st.sampled_from(("park", None))), groups, tuple(relations))


@st.composite
def close_graphs(draw: Any) -> tuple[GroupGraph, GroupGraph]:
    """A graph, and one in which some groups and relations are others."""
    graph = draw(graphs())
    groups = [draw(GROUPS) if draw(st.integers(0, 2)) == 0 else group for group in graph.groups]
    groups += draw(st.lists(GROUPS, max_size=1))
    relations = tuple(one for one in graph.relations if draw(st.booleans()))
    return graph, GroupGraph(graph.scene, tuple(draw(st.permutations(groups))), relations)


@settings(max_examples=300, deadline=None)
@given(close_graphs(), st.integers(1, 6))
def test_the_edits_make_the_target_of_the_reference(pair: tuple[GroupGraph, GroupGraph], most: int) -> None:
    reference, target = pair
    changes = difference(reference, target, most)
    if changes is None:
        return
    assert 0 < sum(change.facts for change in changes) <= most
    rows = [edit_to_row(edit) for edit in edits_of(changes)]
    made = apply_edits(reference, edits_from_row(rows) or ())
    assert canonical(made) == canonical(target)


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_nothing_differs_in_another_order(graph: GroupGraph) -> None:
    turned = {index: len(graph.groups) - 1 - index for index in range(len(graph.groups))}
    relations = tuple((turned[s], predicate, turned[o]) for s, predicate, o in graph.relations)
    assert difference(graph, GroupGraph(graph.scene, graph.groups[::-1], relations), 6) is None


CAR, HANGAR = Group("2", "car", ("red", "small"), "left"), Group("1", "hangar", (), "center")


def _with(*groups: Group, relations: tuple[tuple[int, str, int], ...] = ()) -> GroupGraph:
    return GroupGraph("airport", groups, relations)


@pytest.mark.parametrize(
    ("target", "kind", "facts"),
    [
        (_with(HANGAR), "remove", 1),
        (_with(CAR, HANGAR, Group("1", "pond")), "add", 1),
        (_with(Group("3", "car", ("red", "small"), "left"), HANGAR), "count", 1),
        (_with(Group("2", "car", ("red", "small"), "top"), HANGAR), "move", 1),
        (_with(Group("2", "car", ("red", "large"), "left"), HANGAR), "resize", 1),
        (_with(Group("2", "car", ("blue", "small"), "left"), HANGAR), "recolour", 1),
        (_with(Group("2", "car", ("red",), "left"), HANGAR), "resize", 1),
        (_with(CAR, Group("1", "hangar", ("white",), "center")), "recolour", 1),
        (_with(CAR, HANGAR, relations=((0, "next to", 1),)), "relation", 1),
        (_with(Group("3", "car", ("red", "small"), "top"), HANGAR), "free", 2),
        (_with(Group("1", "pond", (), "left"), HANGAR), "free", 2),
    ],
)
def test_each_kind_is_known(target: GroupGraph, kind: str, facts: int) -> None:
    changes = difference(_with(CAR, HANGAR), target, 3)
    assert changes is not None
    assert (kind_of(changes), sum(change.facts for change in changes)) == (kind, facts)
    assert difference(_with(CAR, HANGAR), target, facts - 1) is None


def test_the_relations_of_what_is_removed_are_gone_with_it() -> None:
    reference = _with(CAR, HANGAR, relations=((0, "next to", 1),))
    changes = difference(reference, _with(CAR), 1)
    assert changes is not None and kind_of(changes) == "remove"


def test_another_scene_is_no_edit() -> None:
    assert difference(_with(CAR), GroupGraph("park", (CAR, HANGAR), ()), 3) is None
