"""Pairs found by the index, against all pairs."""

import random
from itertools import permutations

import pytest

from pipeline.graph.scene_graph import Group, GroupGraph
from pipeline.pairs.difference import canonical, difference
from pipeline.pairs.index import GraphIndex
from tests.pipeline.pairs.graphs import random_graph


def _index(graphs: list[GroupGraph], most: int = 3, scopes: int = 1) -> GraphIndex:
    index = GraphIndex(0, most)
    for number, graph in enumerate(graphs):
        index.add((str(number % scopes),), graph)
    return index


def test_every_pair_is_what_it_says_and_in_one_scope() -> None:
    rng = random.Random(1)
    index = _index([random_graph(rng) for _ in range(300)], scopes=2)
    found = list(index.pairs())
    assert found
    for pair in found:
        one, other = index.entries[pair.reference], index.entries[pair.target]
        assert one.scope == other.scope
        assert pair.changes == difference(one.graph, other.graph, 3)
    keys = {(pair.reference, pair.target) for pair in found}
    assert len(keys) == len(found)
    assert sum((target, reference) in keys for reference, target in keys) > 0.9 * len(keys)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_nothing_is_missed_among_few(most: int) -> None:
    """With no more graphs behind a key than are looked at, all pairs that share a group are found."""
    rng = random.Random(most)
    graphs = [random_graph(rng, most_groups=6) for _ in range(9)]
    index = _index(graphs, most)
    entries = range(len(index.entries))
    wanted = {
        (a, b)
        for a, b in permutations(entries, 2)
        if set(index.entries[a].graph.groups) & set(index.entries[b].graph.groups)
        and difference(index.entries[a].graph, index.entries[b].graph, most)
    }
    assert wanted <= {(pair.reference, pair.target) for pair in index.pairs()}


def test_graphs_without_a_common_group_are_found_by_their_names() -> None:
    graphs = [GroupGraph(None, (Group(str(n), "car", (), "left"),), ()) for n in (1, 2, 3)]
    assert len(list(_index(graphs).pairs())) == 6


def test_near_images_are_counted_as_all_pairs_count_them() -> None:
    rng = random.Random(3)
    index = _index([random_graph(rng, most_groups=3) for _ in range(200)], scopes=2)

    def is_near(one: GroupGraph, other: GroupGraph) -> bool:
        gone, new = set(one.groups) - set(other.groups), set(other.groups) - set(one.groups)
        return max(len(gone), len(new)) == 1

    for entry, near in zip(index.entries, index.near(), strict=True):
        others = [other for other in index.entries if other.scope == entry.scope]
        assert near == sum(len(other.images) for other in others if is_near(entry.graph, other.graph))


def test_equal_graphs_are_one_entry_whatever_their_order() -> None:
    one, other = Group("1", "car"), Group("2", "tree")
    graphs = [
        GroupGraph(None, (one, other), ((0, "by", 1),)),
        GroupGraph(None, (other, one), ((1, "by", 0),)),
    ]
    index = _index(graphs)
    assert [entry.images for entry in index.entries] == [[0, 1]]
    assert canonical(graphs[0]) == canonical(graphs[1])
