"""Captions judged by hand: what people and language models write about one graph, right and wrong."""

import pytest

from pipeline.faithfulness import Vocabulary, check, vocabulary_of
from pipeline.scene_graph import Group, GroupGraph

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


RIGHT = [
    ("airport", "An airport. Two small red cars at the top left, one white hangar at the center and many green trees."
     " The cars are next to the hangar."),
    ("airport", "Two small red cars are at the top left and one white hangar is at the center of the airport, with"
     " many green trees. The cars are next to the hangar."),
    ("airport", "There are two small cars, both red, in the upper-left corner of the airport, beside a hangar that is"
     " white, in the middle. Many green trees grow here."),
    ("airport", "At the airport, many green trees and, at the center, one white hangar; in the top-left corner, two"
     " small red cars stand next to the hangar."),
    ("airport", "In the center of the airport stands a white hangar. Next to the hangar are two little red cars, in the"
     " upper left of the image. Numerous green trees are visible."),
    ("airport", "Airport scene: lots of green trees, a white hangar in the centre, and a pair of small red cars at the"
     " top left. The hangar is adjacent to the cars."),
    ("airport", "An airport with 2 small red cars in the top left corner, 1 white hangar in the center and many green"
     " trees. The cars are near the hangar."),
    ("airport", "The cars are small and red. There are two cars at the top left of this airport, next to the one white"
     " hangar at the center, and many green trees."),
    ("airport", "An airport seen from above with two cars at the top left. They are small and red. A white hangar sits"
     " at the center and many trees, all green, are around. The cars are next to the hangar."),
    ("airport", "- 2 car: small, red; at top left\n- 1 hangar: white; at center\n- many tree: green\nThe cars are next"
     " to the hangar at the airport."),
    ("airport", "There are no boats at this airport. Two small red cars are at the top left, next to the white hangar"
     " at the center, and there are many green trees."),
    ("airport", "In the northwest corner of the airport, two small red cars are parked next to a white hangar at the"
     " center, and many green trees."),
    ("airport", "Many trees, which are green, and two small red cars at the top left are in the airport. One hangar,"
     " white, is in the middle of the image. The cars are next to it."),
    ("cars", "Two red cars at the left and one blue car at the right, with one pond at the bottom."),
    ("cars", "One blue car at the right, two red cars at the left and a pond at the bottom."),
    ("cars", "There are three cars: two red cars on the left side and one blue car on the right side. A pond lies at"
     " the bottom."),
    ("cars", "On the left are two red cars, on the right is a blue car, and at the bottom there is one pond."),
    ("cars", "A pond at the bottom. The two red cars are at the left, and the single blue car is at the right."),
    ("cars", "At the left, two red cars; at the right, one blue car; at the bottom, one pond."),
    ("cars", "Two red cars at the left and one blue at the right. One pond at the bottom."),
    ("courts", "A park with three green tennis courts at the top right and one large gray storage tank at the bottom. The"
     " storage tank is below the tennis courts."),
    ("courts", "Three green tennis courts are in the upper right corner of the park. A big grey storage tank is at the"
     " bottom, below the courts."),
    ("courts", "A park scene with three green tennis-courts at the top right above one large grey storage tank at the"
     " bottom."),
    ("courts", "Below three green tennis courts at the top right of the park there is one large gray storage tank at the"
     " bottom."),
    ("plain", "A beach with white sand, the sea and some trees."),
    ("plain", "White sand meets the sea on this beach, and several trees stand nearby."),
    ("plain", "The beach has sand that is white, sea and some trees."),
    ("ringed", "One brown building at the center and five trees. The building is surrounded by the trees."),
    ("ringed", "Five trees surround a brown building in the center."),
    ("ringed", "A brown building in the middle of the picture is surrounded by 5 trees."),
    ("ringed", "A single building, brown, stands at the center. It is surrounded by five trees."),
    ("ringed", "There is neither a car nor a boat: only one brown building at the center, surrounded by five trees."),
]  # fmt: skip

WRONG = [
    # dropped
    ("airport", "An airport with one white hangar at the center and many green trees."),
    ("airport", "An airport with two small red cars at the top left, one white hangar at the center and many green"
     " trees."),
    ("airport", "Two small red cars at the top left, one white hangar at the center and many green trees. The cars are"
     " next to the hangar."),
    ("airport", "An airport. Two red cars at the top left, one white hangar at the center and many green trees. The cars"
     " are next to the hangar."),
    ("cars", "Two red cars at the left and one pond at the bottom."),
    ("cars", "Two red cars at the left. The cars are parked. One pond at the bottom."),
    ("plain", "A beach with white sand and the sea."),
    ("plain", "A beach with sand, sea and some trees."),
    # changed
    ("airport", "An airport. Two small blue cars at the top left, one white hangar at the center and many green trees."
     " The cars are next to the hangar."),
    ("airport", "An airport. Three small red cars at the top left, one white hangar at the center and many green trees."
     " The cars are next to the hangar."),
    ("airport", "An airport. Two small red cars at the top right, one white hangar at the center and many green trees."
     " The cars are next to the hangar."),
    ("airport", "An airport. Two small red cars at the left, one white hangar at the center and many green trees. The"
     " cars are next to the hangar."),
    ("airport", "An airport. A small red car at the top left, one white hangar at the center and many green trees. The"
     " car is next to the hangar."),
    ("airport", "An airport. Two small red cars at the top left, one white hangar at the center and a few green trees."
     " The cars are next to the hangar."),
    ("airport", "A harbor. Two small red cars at the top left, one white hangar at the center and many green trees. The"
     " cars are next to the hangar."),
    ("airport", "An airport. Two small red cars at the top left, one white hangar at the center and many green trees. The"
     " cars are left of the hangar."),
    ("airport", "There are two large cars, both red, in the upper-left corner of the airport, next to a hangar that is"
     " white, in the middle, and many green trees."),
    ("courts", "A park with three green tennis courts at the top right and one large gray storage tank at the bottom. The"
     " tennis courts are below the storage tank."),
    ("courts", "A park with four green tennis courts at the top right and one large gray storage tank at the bottom. The"
     " storage tank is below the tennis courts."),
    ("ringed", "One brown building at the center and five trees. The trees are surrounded by the building."),
    ("ringed", "One brown building at the center and six trees. The building is surrounded by the trees."),
    # swapped
    ("airport", "An airport. Two small white cars at the top left, one red hangar at the center and many green trees. The"
     " cars are next to the hangar."),
    ("airport", "An airport. Two small red cars at the center, one white hangar at the top left and many green trees. The"
     " cars are next to the hangar."),
    ("cars", "Two blue cars at the left and one red car at the right, with one pond at the bottom."),
    ("cars", "Two red cars at the right and one blue car at the left, with one pond at the bottom."),
    ("cars", "One red car at the left and two blue cars at the right, with one pond at the bottom."),
    # added
    ("airport", "An airport. Two small red cars at the top left, one white hangar at the center and many green trees. The"
     " cars are next to the hangar. There is a boat too."),
    ("airport", "An airport. Two small red cars at the top left, one large white hangar at the center and many green"
     " trees. The cars are next to the hangar."),
    ("airport", "An airport. Two small red cars at the top left, one white hangar at the center and many green trees at"
     " the bottom. The cars are next to the hangar."),
    ("cars", "Two red cars at the left and one blue car at the right, with one pond at the bottom and a dock."),
    ("cars", "Two red cars at the left, one blue car at the right and one black car at the top, with one pond at the"
     " bottom."),
    ("plain", "A beach with white sand, the blue sea and some trees."),
    ("plain", "A beach with white sand, the sea and three trees."),
    ("plain", "A beach with white sand, the sea and some trees. The sea is left of the sand."),
    ("ringed", "One brown building at the center and five trees. The building is surrounded by the trees and above the"
     " trees."),
    # denied
    ("airport", "An airport with no cars, one white hangar at the center and many green trees."),
    ("cars", "Two red cars at the left and one blue car at the right, without a pond."),
    ("ringed", "A building at the center, which is not brown, is surrounded by five trees."),
    ("ringed", "One brown building at the center and five trees. The building is not surrounded by the trees."),
    ("plain", "A beach with white sand and the sea. There are no trees."),
]  # fmt: skip


@pytest.mark.parametrize(("graph", "text"), RIGHT)
def test_right_captions_pass(graph: str, text: str, vocabulary: Vocabulary) -> None:
    found = check(text, GRAPHS[graph], vocabulary)
    assert (found.missed, found.invented) == ((), ())


@pytest.mark.parametrize(("graph", "text"), WRONG)
def test_wrong_captions_are_caught(graph: str, text: str, vocabulary: Vocabulary) -> None:
    assert not check(text, GRAPHS[graph], vocabulary).all_right
