"""Grouping, editing and writing out of scene graphs, with properties over random graphs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.graph.edits import Edit, apply_edits, edit_to_row, edits_from_row
from pipeline.graph.notation import serialise
from pipeline.graph.scene_graph import (
    POSITIONS,
    Group,
    GroupGraph,
    Node,
    SceneGraph,
    count_of,
    graph_from_row,
    group_objects,
    position_of,
    quantity_of,
)
from pipeline.graph.verbalise import say_group

NAMES = st.sampled_from(["car", "tree", "hangar", "storage tank"])
ATTRIBUTES = st.lists(st.sampled_from(["red", "small", "round"]), max_size=2, unique=True).map(tuple)
BOXES = st.none() | st.tuples(st.floats(0, 200), st.floats(0, 200), st.floats(1, 50), st.floats(1, 50))


@st.composite
def graphs(draw: st.DrawFn) -> SceneGraph:
    entries = draw(st.lists(st.tuples(NAMES, ATTRIBUTES, BOXES), max_size=8))
    nodes = tuple(Node(number, *entry) for number, entry in enumerate(entries))
    ends = st.sampled_from(range(max(1, len(nodes))))
    relationship = st.tuples(ends, st.sampled_from(["next to", "above"]), ends)
    relationships = draw(st.lists(relationship, max_size=4 if nodes else 0))
    scene = draw(st.none() | st.just("airport"))
    return SceneGraph(256, 256, scene, nodes, tuple(relationships))


@st.composite
def group_graphs(draw: st.DrawFn) -> GroupGraph:
    groups = draw(
        st.lists(
            st.builds(
                Group,
                st.sampled_from(["", "1", "3", "many"]),
                NAMES,
                ATTRIBUTES,
                st.none() | st.sampled_from([cell for row in POSITIONS for cell in row]),
            ),
            max_size=6,
            unique=True,
        )
    )
    return GroupGraph(draw(st.none() | st.just("airport")), tuple(groups), ())


@given(graphs())
def test_grouping_loses_no_object_and_no_relation(graph: SceneGraph) -> None:
    grouped = group_objects(graph)
    assert {node.name for node in graph.nodes} == {group.name for group in grouped.groups}
    boxed = sum(node.bbox is not None for node in graph.nodes)
    counted = sum(int(group.quantity) for group in grouped.groups if group.position is not None)
    assert counted == boxed
    names = {node.object_id: node.name for node in graph.nodes}
    said = {(grouped.groups[s].name, p, grouped.groups[o].name) for s, p, o in grouped.relations}
    assert said == {(names[s], p, names[o]) for s, p, o in graph.relationships}


@given(graphs())
def test_the_order_of_the_relationships_alone_changes_no_group(graph: SceneGraph) -> None:
    turned = SceneGraph(
        graph.width, graph.height, graph.scene, graph.nodes, tuple(reversed(graph.relationships))
    )
    assert group_objects(turned).groups == group_objects(graph).groups


@given(group_graphs())
def test_writing_out_states_each_group_in_a_line_of_its_own(graph: GroupGraph) -> None:
    lines = serialise(graph).splitlines()
    items = [line for line in lines if line.startswith("- ")]
    assert len(items) == len(graph.groups)
    for group, line in zip(graph.groups, items, strict=True):
        assert line == f"- {say_group(group)}"


@given(group_graphs())
def test_different_graphs_are_written_differently(graph: GroupGraph) -> None:
    for place in range(len(graph.groups)):
        fewer = GroupGraph(graph.scene, graph.groups[:place] + graph.groups[place + 1 :], ())
        assert serialise(fewer) != serialise(graph)


@given(group_graphs(), st.data())
def test_an_edit_and_its_opposite_give_the_graph_back(graph: GroupGraph, data: st.DataObject) -> None:
    new = Group("2", "boat", ("white",), "left")
    there = apply_edits(graph, [Edit("add", "object", new)])
    assert new in there.groups
    assert apply_edits(there, [Edit("remove", "object", new)]) == graph


def test_a_changed_group_keeps_its_place_and_its_relations() -> None:
    car, hangar = Group("2", "car", ("red",), "left"), Group("1", "hangar")
    blue = Group("2", "car", ("blue",), "left")
    graph = GroupGraph(None, (car, hangar), ((0, "next to", 1),))
    changed = apply_edits(graph, [Edit("remove", "object", car), Edit("add", "object", blue)])
    assert changed == GroupGraph(None, (blue, hangar), ((0, "next to", 1),))
    assert apply_edits(graph, [Edit("remove", "object", car)]) == GroupGraph(None, (hangar,), ())


def test_a_relation_is_exchanged() -> None:
    graph = GroupGraph(None, (Group("1", "car"), Group("1", "hangar")), ((0, "left of", 1),))
    edits = [
        Edit("remove", "relation", subject="car", predicate="left of", object="hangar"),
        Edit("add", "relation", subject="car", predicate="above", object="hangar"),
    ]
    assert apply_edits(graph, edits).relations == ((0, "above", 1),)


def test_an_edit_of_what_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no such group"):
        apply_edits(GroupGraph(None, (), ()), [Edit("remove", "object", Group("1", "car"))])


def test_words_for_numbers_become_the_quantity() -> None:
    nodes = (Node(0, "tree", ("many", "green")), Node(1, "court", ("two",)), Node(2, "water"))
    grouped = group_objects(SceneGraph(10, 10, None, nodes, ()))
    assert grouped.groups == (Group("many", "tree", ("green",)), Group("2", "court"), Group("", "water"))


@pytest.mark.parametrize(
    ("bbox", "cell"),
    [((0, 0, 10, 10), "top left"), ((120, 120, 16, 16), "center"), ((250, 250, 6, 6), "bottom right")],
)
def test_positions_are_cells_of_a_grid(bbox: tuple[float, ...], cell: str) -> None:
    assert position_of(bbox, 256, 256) == cell


def test_rows_go_to_graphs_and_edits_and_back() -> None:
    row = {
        "width": 8,
        "height": 8,
        "scene": None,
        "objects": [
            {"object_id": 3, "name": "car", "attributes": None, "bbox": {"x": 1, "y": 2, "w": 3, "h": 4}}
        ],
        "relationships": [],
    }
    assert graph_from_row(row).nodes == (Node(3, "car", (), (1, 2, 3, 4)),)
    edits = (
        Edit("add", "object", Group("2", "car", ("red",), "left")),
        Edit("remove", "relation", subject="car", predicate="above", object="tree"),
    )
    assert edits_from_row([edit_to_row(edit) for edit in edits]) == edits
    assert edits_from_row(None) is None


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("two", "2"), ("12", "12"), ("007", "7"), ("0", "0"), ("many", "many"), ("a few", "a few"),
        ("\xb2", "2"), ("\u2461", "2"), ("\u2469", "10"), ("\u2163", "4"),  # superscript, circled, Roman
        ("\u0663\u0664", "34"), ("\u0968", "2"), ("\uff17", "7"),  # Arabic, Devanagari, full width
        ("\xbd", None), ("10\xb2", None), ("\u2461\u2462", None), ("\u4e8c", None), ("-2", None),
        ("2.0", None),
        ("", None), ("red", None), ("9" * 10, None), ("9" * 5000, None), ("\ud800", None),
    ],
)  # fmt: skip
def test_a_number_in_any_script_is_a_quantity(text: str, quantity: str | None) -> None:
    assert quantity_of(text) == quantity
    node = Node(0, "car", (text,), (1.0, 1.0, 2.0, 2.0))
    (group,) = group_objects(SceneGraph(9, 9, None, (node,), ())).groups
    assert (group.quantity, group.attributes) == ((quantity, ()) if quantity else ("1", (text,)))
    assert count_of(text) in (None, int(quantity) if quantity and quantity.isdecimal() else None)


def test_an_edit_may_write_a_number_as_the_graph_does() -> None:
    node = Node(0, "car", ("\u2461",))
    graph = group_objects(SceneGraph(9, 9, None, (node,), ()))
    row = edit_to_row(Edit("remove", "object", Group("\u2461", "car")))
    assert apply_edits(graph, edits_from_row([row]) or ()).groups == ()
