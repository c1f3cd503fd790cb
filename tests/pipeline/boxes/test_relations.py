"""The relations that are said, and those that are not."""

import pytest

from pipeline.boxes.box import Box
from pipeline.boxes.graph import GraphMaker
from pipeline.boxes.relations import MOST
from pipeline.graph.scene_graph import graph_from_row, group_objects
from pipeline.graph.verbalise import verbalise

CENTRE = ("car", 120, 120, 20, 10)
Spec = tuple[str, float, float, float, float]


def _sentences(*specs: Spec) -> list[str]:
    """What is said of relations in an image of 300 x 300."""
    row = GraphMaker({}).make("i", [Box.upright(*spec) for spec in specs], 300, 300)
    return [f"{sentence.rstrip('.')}." for sentence in _text(row).split(". ")[1:]]


def _text(row: dict) -> str:
    return verbalise(group_objects(graph_from_row(row)))


@pytest.mark.parametrize(
    ("others", "sentences"),
    [
        ([("road", 0, 110, 300, 30)], ["The car is on the road."]),
        ([("bridge", 100, 100, 100, 50)], ["The car is on the bridge."]),
        ([("stadium", 105, 105, 60, 60)], ["The car is inside the stadium."]),
        ([("stadium", 110, 110, 22, 22)], []),  # covers a part of it only
        ([("hangar", 150, 115, 30, 30)], ["The car is left of the hangar."]),
        ([("truck", 102, 120, 14, 10)], ["The truck is left of the car."]),
        ([("hangar", 115, 140, 30, 30)], ["The car is above the hangar."]),
        ([("truck", 120, 104, 20, 10)], ["The truck is above the car."]),
        ([("hangar", 205, 115, 30, 30)], []),  # the places say it
        ([("hangar", 75, 110, 40, 30)], ["The car is near the hangar."]),  # in another place
        ([("hangar", 20, 110, 40, 30)], []),  # far
    ],
)
def test_one_relation_of_two_groups(others: list[Spec], sentences: list[str]) -> None:
    assert _sentences(CENTRE, *others) == sentences


def test_all_things_of_the_subject_must_be_there() -> None:
    road = ("road", 0, 100, 300, 40)
    assert _sentences(CENTRE, ("car", 160, 125, 20, 10), road) == ["The cars are on the road."]
    assert _sentences(CENTRE, ("car", 160, 160, 20, 10), road) == []


def test_one_thing_is_not_inside_several() -> None:
    pools = [("pool", 110, 110, 40, 40), ("pool", 155, 110, 40, 40)]
    assert _sentences(CENTRE, *pools) == []


def test_groups_that_are_called_alike_have_no_relations() -> None:
    elsewhere = ("car", 10, 10, 20, 10)
    assert _sentences(CENTRE, elsewhere, ("road", 0, 110, 300, 30)) == []


def test_groups_told_apart_by_their_looks_have_relations() -> None:
    boxes = [Box.upright(*CENTRE), Box.upright("car", 145, 110, 40, 40)]
    row = GraphMaker({"car": 600 / 90_000}).make("i", boxes, 300, 300)
    assert _text(row).endswith("The small car is left of the large car.")
    row = GraphMaker({"car": 200 / 90_000}).make("i", boxes, 300, 300)
    assert row["relationships"] == []  # "the car" could be either


def test_things_all_over_the_image_are_near_nothing() -> None:
    cars = [("car", 10.0 + 60 * i, 10.0 + 35 * (i * i % 7), 20.0, 10.0) for i in range(5)]
    huts = [("hut", x, y + 12, 20.0, 8.0) for _, x, y, _, _ in cars]
    assert _sentences(*cars, *huts) == []


def test_the_most_salient_come_first_and_few_are_said() -> None:
    said = _sentences(
        ("road", 100, 150, 100, 30), ("car", 110, 160, 20, 10),  # on
        ("stadium", 0, 0, 90, 90), ("truck", 10, 10, 20, 10),  # inside
        ("hangar", 220, 20, 20, 20), ("plane", 250, 20, 20, 20),  # left of
        ("pool", 80, 210, 20, 20), ("house", 105, 205, 40, 40),  # near
    )  # fmt: skip
    assert said == [
        "The truck is inside the stadium.",
        "The car is on the road.",
        "The hangar is left of the plane.",
    ]
    assert len(said) == MOST


def test_a_point_is_inside_what_holds_it() -> None:
    row = GraphMaker({}).make(
        "i", [Box("tree", ((150, 150),)), Box.upright("park", 110, 110, 60, 60)], 300, 300
    )
    assert _text(row).endswith("The tree is on the park.")


def test_each_thing_of_the_subject_has_its_row() -> None:
    boxes = [Box.upright(*spec) for spec in (CENTRE, ("car", 160, 125, 20, 10), ("road", 0, 100, 300, 40))]
    row = GraphMaker({}).make("i", boxes, 300, 300)
    assert row["relationships"] == [
        {"subject_id": 0, "predicate": "on", "object_id": 2},
        {"subject_id": 1, "predicate": "on", "object_id": 2},
    ]
