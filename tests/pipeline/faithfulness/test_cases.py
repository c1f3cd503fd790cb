"""Captions judged by hand: what people and language models write about one graph, right and wrong."""

from pathlib import Path

import pytest
import yaml

from pipeline.faithfulness.check import Vocabulary, check, vocabulary_of
from pipeline.graph.scene_graph import Group, GroupGraph

AIRPORT = GroupGraph(
    "airport",
    (
        Group("2", "car", ("small", "red"), "top left"),
        Group("1", "hangar", ("white",), "center"),
        Group("many", "tree", ("green",)),
    ),
    ((0, "next to", 1),),
)
CARS = GroupGraph(
    None,
    (
        Group("2", "car", ("red",), "left"),
        Group("1", "car", ("blue",), "right"),
        Group("1", "pond", (), "bottom"),
    ),
    (),
)
COURTS = GroupGraph(
    "park",
    (
        Group("3", "tennis court", ("green",), "top right"),
        Group("1", "storage tank", ("large", "gray"), "bottom"),
    ),
    ((1, "below", 0),),
)
PLAIN = GroupGraph("beach", (Group("", "sand", ("white",)), Group("", "sea"), Group("some", "tree")), ())
RINGED = GroupGraph(
    None,
    (Group("1", "building", ("brown",), "center"), Group("5", "tree", (), None)),
    ((0, "surrounded by", 1),),
)
OTHERS = GroupGraph(
    "harbor",
    (
        Group("4", "boat", ("yellow", "blue", "black"), "right"),
        Group("1", "pond", ("round",)),
        Group("1", "dock"),
    ),
    ((0, "left of", 1), (0, "above", 1)),
)
GRAPHS = {"airport": AIRPORT, "cars": CARS, "courts": COURTS, "plain": PLAIN, "ringed": RINGED}


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return vocabulary_of([*GRAPHS.values(), OTHERS])


CASES = yaml.safe_load((Path(__file__).parent / "cases.yaml").read_text(encoding="utf-8"))
RIGHT, WRONG = ([(case["graph"], case["text"]) for case in CASES[kind]] for kind in ("right", "wrong"))


@pytest.mark.parametrize(("graph", "text"), RIGHT)
def test_right_captions_pass(graph: str, text: str, vocabulary: Vocabulary) -> None:
    found = check(text, GRAPHS[graph], vocabulary)
    assert (found.missed, found.invented) == ((), ())


@pytest.mark.parametrize(("graph", "text"), WRONG)
def test_wrong_captions_are_caught(graph: str, text: str, vocabulary: Vocabulary) -> None:
    assert not check(text, GRAPHS[graph], vocabulary).all_right
