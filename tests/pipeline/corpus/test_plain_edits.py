"""Edits from plain texts: what the grammar reads, and what it must leave alone."""

import pytest

from pipeline.corpus.plain_edits import EditReader
from pipeline.graph.edits import Edit, apply_edits
from pipeline.graph.scene_graph import Group, GroupGraph

TREES, CARS = Group("many", "tree", ("green",)), Group("2", "car")
GRAPH = GroupGraph("freeway", (TREES, CARS), ((1, "next to", 0),))
READER = EditReader(["tree", "car", "bare soil", "tennis court", "grass"])


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("add grass", (TREES, CARS, Group("", "grass"))),
        ("add two tennis courts", (TREES, CARS, Group("2", "tennis court"))),
        ("remove the trees and add bare soil.", (CARS, Group("", "bare soil"))),
        ("change to many cars", (TREES, Group("many", "car"))),
        ("change to one tree, remove the cars", (Group("1", "tree", ("green",)),)),
        ("remove the trees and remove the cars", ()),
    ],
)
def test_plain_texts_are_read(text: str, groups: tuple[Group, ...]) -> None:
    edits = READER.read(text, GRAPH)
    assert edits is not None
    assert set(apply_edits(GRAPH, edits).groups) == set(groups)


@pytest.mark.parametrize(
    "text",
    [
        "add cars",  # there are two: how many then?
        "remove the grass",  # there is none
        "add a lake",  # no graph names it
        "change to cars",
        "paint the cars red",
        "remove the cars that are red",
        "add grass and paint the cars red",
        "",
    ],
)
def test_other_texts_are_left_alone(text: str) -> None:
    assert READER.read(text, GRAPH) is None


def test_edits_name_the_groups_of_the_graph() -> None:
    assert READER.read("remove the cars", GRAPH) == (Edit("remove", "object", CARS),)
