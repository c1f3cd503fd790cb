"""Graphs too large for a prompt are cut to their salient groups and counts, the same way every time."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.graph.edits import Edit, apply_edits
from pipeline.graph.scene_graph import Group, Node, SceneGraph, group_objects
from pipeline.graph.summary import Limits, summarised

SIZE = 300


def _graph(nodes: list[Node], relationships: list[tuple[int, str, int]] | None = None) -> SceneGraph:
    return SceneGraph(SIZE, SIZE, "harbor", tuple(nodes), tuple(relationships or ()))


def _boat(number: int, side: float, colour: str = "") -> Node:
    return Node(number, "boat", (colour or f"colour {number}",), (10.0, 10.0, side, side))


BOATS = [_boat(number, side=1 + number) for number in range(20)]
LARGE = _graph(
    [*BOATS, *(Node(100 + n, "crane", (f"crane {n}",)) for n in range(3)), Node(200, "dock")],
    [(2, "next to", 200), (4, "behind", 5)],
)


def test_a_graph_within_the_limit_stays_as_it_is() -> None:
    assert summarised(LARGE, 24, 99) == (group_objects(LARGE), False)


def test_the_salient_half_stays_and_the_rest_is_counted() -> None:
    graph, less = summarised(LARGE, 12, 99)
    assert less
    # in relations: boats 2, 4 and 5 and the dock; then the largest boxes
    detailed = graph.groups[:6]
    assert [group.attributes for group in detailed] == [("colour 2",), ("colour 4",), ("colour 5",),
                                                        ("colour 18",), ("colour 19",), ()]  # fmt: skip
    assert graph.groups[6:] == (Group("15", "boat"), Group("3", "crane"))
    assert [(graph.groups[s].attributes, said, graph.groups[o].name) for s, said, o in graph.relations] == [
        (("colour 2",), "next to", "dock"),
        (("colour 4",), "behind", "boat"),
    ]


def test_names_beyond_the_limit_are_left_out_the_rarest_first() -> None:
    nodes = [Node(n, f"thing {n % 8}", (str(n) + "th",)) for n in range(63)]
    graph, _ = summarised(_graph(nodes), 6, 99)
    assert [group.name for group in graph.groups[3:]] == ["thing 3", "thing 4", "thing 5"]
    assert all(group.quantity == "8" for group in graph.groups[3:])


def test_a_vague_quantity_stays_vague() -> None:
    nodes = [Node(n, "tree", ("many", f"kind {n}")) for n in range(9)]
    graph, _ = summarised(_graph(nodes), 4, 99)
    assert graph.groups[-1] == Group("many", "tree")


def test_what_a_modification_names_stays_so_that_its_edits_fit() -> None:
    gone = group_objects(LARGE).groups[0]
    edits = [
        Edit("remove", "object", gone),
        Edit("add", "relation", subject="crane 1 crane", predicate="next to", object="dock"),
    ]
    graph, less = summarised(LARGE, 6, 99, edits)
    assert less and gone in graph.groups
    after = apply_edits(graph, edits)
    assert gone not in after.groups and len(after.relations) == len(graph.relations) + 1


@given(st.integers(2, 40), st.integers(0, 2000), st.integers(1, 30))
def test_any_graph_comes_within_the_limit(most: int, objects: int, kinds: int) -> None:
    nodes = [Node(n, f"thing {n % kinds}", (f"mark {n % (kinds + 7)}",)) for n in range(objects)]
    graph, less = summarised(_graph(nodes), most, 99)
    assert len(graph.groups) <= most
    assert less == (len(group_objects(_graph(nodes)).groups) > most)


def test_two_thousand_objects_take_no_time() -> None:
    nodes = [Node(n, f"thing {n % 97}", (f"mark {n}",), (n % 290, n % 280, 9.0, 9.0)) for n in range(2000)]
    graph, less = summarised(_graph(nodes, [(n, "near", n + 1) for n in range(1999)]), 24, 24)
    assert less and len(graph.groups) == 24
    assert pytest.approx(12) == sum(bool(group.attributes) for group in graph.groups)


def _pairs(kinds: int) -> SceneGraph:
    ends = [(a, b) for a in range(kinds) for b in range(kinds) if a != b]
    return _graph([Node(n, f"thing {n}") for n in range(kinds)], [(a, "near", b) for a, b in ends])


def test_of_too_many_relations_every_subject_keeps_as_many() -> None:
    graph, less = summarised(_pairs(6), 24, 8)
    assert less and graph.groups == group_objects(_pairs(6)).groups
    assert [(s, o) for s, _, o in graph.relations] == [
        (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (3, 0), (4, 0), (5, 0),
    ]  # fmt: skip
    assert summarised(_pairs(6), 24, 30) == (group_objects(_pairs(6)), False)
    assert summarised(_pairs(6), 24, 0)[0].relations == ()


def test_a_relation_that_a_modification_removes_stays() -> None:
    gone = Edit("remove", "relation", subject="thing 5", predicate="near", object="thing 4")
    for most in (0, 1, 8):
        graph, _ = summarised(_pairs(6), 24, most, [gone])
        assert (5, "near", 4) in graph.relations and len(graph.relations) == max(1, most)
        assert (5, "near", 4) not in apply_edits(graph, [gone]).relations


@given(st.integers(2, 12), st.integers(0, 30), st.integers(2, 12))
def test_relations_come_within_their_limit_too(kinds: int, most: int, groups: int) -> None:
    graph, less = summarised(_pairs(kinds), groups, most)
    assert len(graph.relations) <= most and len(graph.groups) <= groups
    assert less == (kinds > groups or kinds * (kinds - 1) > most)
    assert list(graph.relations) == sorted(graph.relations)


@given(st.integers(1, 40), st.integers(0, 60), st.integers(1, 25), st.booleans())
def test_half_of_a_graph_and_half_of_that_end_soon_and_keep_what_edits_name(
    objects: int, related: int, kinds: int, edited: bool
) -> None:
    nodes = [Node(n, f"thing {n % kinds}", (f"mark {n % (kinds + 7)}",)) for n in range(objects)]
    whole = _graph(nodes, [(n % objects, "near", n * 7 % objects) for n in range(related)])
    graph, limits = group_objects(whole), Limits(24, 24)
    gone = graph.groups[-1]
    edits = [Edit("remove", "object", gone), Edit("add", "object", Group("2", "pond"))] if edited else []
    sizes = []
    for _ in range(8):
        graph, _ = summarised(whole, *limits, edits)
        assert not edited or gone in graph.groups
        assert gone not in apply_edits(graph, edits).groups or not edited
        limits = Limits.half_of(graph)
        sizes.append((len(graph.groups), len(graph.relations)))
    assert all(later <= earlier for pair in pairwise(sizes) for earlier, later in zip(*pair, strict=True))
    assert sizes[-1] == (1, 0)
