"""The notations of a graph in a prompt."""

import json

from pipeline.graph.notation import as_json, serialise
from pipeline.graph.scene_graph import Group, GroupGraph

HARBOR = GroupGraph(
    "harbor",
    (
        Group("2", "boat", ("small", "white"), "top left"),
        Group("1", "dock", ("wooden",), "center"),
        Group("", "water"),
    ),
    ((0, "left of", 1),),
)


def test_the_lines_are_what_a_person_would_write() -> None:
    assert serialise(HARBOR).splitlines() == [
        "scene: harbor",
        "objects:",
        "- two small white boats at the top left",
        "- one wooden dock at the center",
        "- water",
        "relations:",
        "- the boats are left of the dock",
    ]


def test_a_graph_without_scene_and_relations_has_no_lines_for_them() -> None:
    assert serialise(GroupGraph(None, (Group("many", "tree"),), ())) == "objects:\n- many trees"


def test_json_has_every_field_in_one_line() -> None:
    text = as_json(HARBOR)
    assert "\n" not in text
    found = json.loads(text)
    assert found["scene"] == "harbor" and found["relations"] == [[0, "left of", 1]]
    assert found["objects"][0] == {
        "quantity": "2",
        "name": "boat",
        "attributes": ["small", "white"],
        "position": "top left",
    }
