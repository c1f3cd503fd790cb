import random

import pytest

from pipeline.graph.scene_graph import Group, GroupGraph
from trainer.study.worse_texts import Fault, Values, WorseWriter

GRAPH = GroupGraph(
    "airport",
    (
        Group("2", "plane", ("small", "white"), "top left"),
        Group("1", "hangar", (), "center"),
        Group("4", "car", ("red",)),
    ),
    ((0, "next to", 1), (2, "left of", 1)),
)
OTHER = GroupGraph(None, (Group("3", "truck", ("black",), "bottom"), Group("", "road")), ((0, "on", 1),))
VALUES = Values.of([GRAPH, OTHER])
WHOLE = (
    "An airport scene with two small white planes at the top left, one hangar at the center and four red "
    "cars. The planes are next to the hangar. The cars are left of the hangar."
)


def writer(fault: Fault, share: float, seed: int = 0, values: Values = VALUES) -> WorseWriter:
    return WorseWriter(fault, share, values, seed)


@pytest.mark.parametrize("fault", ["left out", "wrong"])
def test_with_no_share_every_fact_is_said(fault: Fault) -> None:
    assert writer(fault, 0.0).write(GRAPH, "a") == WHOLE


def test_facts_are_left_out_and_nothing_is_invented() -> None:
    assert writer("left out", 1.0).write(GRAPH, "a") == "An airport scene."
    words = set(WHOLE.replace(".", "").replace(",", "").split()) | {"plane", "car", "is"}  # one of them
    for number in range(50):
        text = writer("left out", 0.3).write(GRAPH, f"row {number}")
        assert set(text.replace(".", "").replace(",", "").split()) <= words


def test_a_wrong_fact_has_another_value_of_its_kind() -> None:
    text = writer("wrong", 1.0).write(GRAPH, "a")
    first, *relations = text.split(". ")
    assert text.startswith("An airport scene with") and len(relations) == 2
    assert len(first.split(" with ")[1].replace(" and ", ", ").split(", ")) == 3  # as many groups
    assert not {"two small white planes at the top left", "one hangar at the center"} & set(first.split(", "))
    for relation, right in zip(relations, ("next to", "left of"), strict=True):
        assert right not in relation and any(value in relation for value in VALUES.predicates)


def test_a_value_that_has_no_other_stays() -> None:
    alone = GroupGraph(None, (Group("1", "airplane", (), "left"),), ())
    assert (
        writer("wrong", 1.0, values=Values.of([alone])).write(alone, "a")
        == "An aerial view with one airplane at the left."
    )


def test_the_share_is_that_of_the_facts_and_draws_repeat() -> None:
    graphs = [
        GroupGraph(
            None, tuple(Group("1", "car", (), place) for place in random.Random(n).sample(PLACES, 4)), ()
        )
        for n in range(500)
    ]
    one = writer("left out", 0.2, values=Values.of(graphs))
    said = [one.write(graph, str(number)) for number, graph in enumerate(graphs)]
    assert said == [one.write(graph, str(number)) for number, graph in enumerate(graphs)]
    assert said != [writer("left out", 0.2, seed=1).write(graph, str(n)) for n, graph in enumerate(graphs)]
    cars = sum(text.count("car") for text in said)
    places = sum(text.count(" at the ") for text in said)
    assert cars / 2000 == pytest.approx(0.8, abs=0.03)
    assert places / cars == pytest.approx(0.8, abs=0.03)


PLACES = ("top", "left", "center", "right", "bottom", "top left", "bottom right")
