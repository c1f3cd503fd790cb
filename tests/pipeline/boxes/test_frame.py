"""Which part of an object an image holds."""

import math

from pipeline.boxes.box import Box
from pipeline.boxes.frame import LEAST_INSIDE, within_frame
from pipeline.boxes.geometry import area


def test_a_box_inside_stays_as_it_is() -> None:
    box = Box.upright("car", 0, 0, 100, 50)
    assert within_frame(box, 100, 50) is box.outline


def test_a_box_over_the_edge_is_clipped() -> None:
    outline = within_frame(Box.upright("car", 90, 10, 20, 10), 100, 50)
    assert outline is not None
    assert area(outline) == 100


def test_little_inside_is_left_out() -> None:
    width = 100.0
    share = LEAST_INSIDE * width
    assert within_frame(Box.upright("car", share - width + 1, 0, width, 10), 200, 50) is not None
    assert within_frame(Box.upright("car", share - width - 1, 0, width, 10), 200, 50) is None


def test_a_point_outside_and_numbers_that_are_none_are_left_out() -> None:
    assert within_frame(Box("tree", ((5, 5),)), 10, 10) == ((5, 5),)
    assert within_frame(Box("tree", ((15, 5),)), 10, 10) is None
    assert within_frame(Box.upright("tree", math.inf, 0, 1, 1), 10, 10) is None
    assert within_frame(Box.upright("tree", 1, math.nan, 1, 1), 10, 10) is None
