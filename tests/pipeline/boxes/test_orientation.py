"""How oriented boxes lie."""

import math

import pytest

from pipeline.boxes.box import Box
from pipeline.boxes.orientation import LEAST_ASPECT, TOLERANCE, orientation_word


def _box(turn: float, long: float = 30, short: float = 10, oriented: bool = True, first: int = 0) -> Box:
    radians = math.radians(turn)
    (a, b), (c, d) = (math.cos(radians), math.sin(radians)), (-math.sin(radians), math.cos(radians))
    corners = [
        (50 + u * long / 2 * a + v * short / 2 * c, 50 + u * long / 2 * b + v * short / 2 * d)
        for u, v in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    return Box("ship", (*corners[first:], *corners[:first]), oriented=oriented)


@pytest.mark.parametrize(
    ("turn", "word"),
    [
        (0, "horizontal"), (TOLERANCE - 1, "horizontal"), (TOLERANCE + 1, "diagonal"), (45, "diagonal"),
        (90 - TOLERANCE - 1, "diagonal"), (90 - TOLERANCE + 1, "vertical"), (90, "vertical"),
        (135, "diagonal"), (180, "horizontal"), (-90, "vertical"), (200, "horizontal"),
    ],
)  # fmt: skip
def test_the_longer_side_gives_the_direction(turn: float, word: str) -> None:
    for first in range(4):
        assert orientation_word(_box(turn, first=first)) == word


def test_boxes_that_are_not_clearly_longer_than_wide() -> None:
    assert orientation_word(_box(0, long=10 * LEAST_ASPECT - 0.1)) is None
    assert orientation_word(_box(0, long=10 * LEAST_ASPECT + 0.1)) == "horizontal"


def test_upright_boxes_polygons_and_points_have_none() -> None:
    assert orientation_word(_box(0, oriented=False)) is None
    assert orientation_word(Box("ship", ((0, 0), (9, 0), (9, 1)), oriented=True)) is None
    assert orientation_word(Box("ship", ((5, 5),) * 4, oriented=True)) is None
