"""Areas and clipping, compared with counted points."""

import math
import random

import pytest

from pipeline.boxes.box import Box
from pipeline.boxes.geometry import area, bounds, clip, common_area, gap, inside_share

L_SHAPE = ((0.0, 0.0), (6.0, 0.0), (6.0, 2.0), (2.0, 2.0), (2.0, 6.0), (0.0, 6.0))


def test_areas_of_known_shapes() -> None:
    assert area(((0, 0), (4, 0), (4, 3), (0, 3))) == 12
    assert area(((0, 0), (0, 3), (4, 3), (4, 0))) == 12
    assert area(((0, 0), (4, 0), (0, 3))) == 6
    assert area(L_SHAPE) == 20
    assert area(((1, 1),)) == 0
    assert area(((1, 1), (4, 5))) == 0


@pytest.mark.parametrize(
    ("window", "expected"),
    [((0, 0, 6, 6), 20), ((1, 1, 6, 6), 9), ((3, 3, 2, 2), 0), ((-9, -9, 30, 30), 20), ((0, 4, 6, 9), 4)],
)
def test_a_concave_polygon_is_clipped(window: tuple[float, float, float, float], expected: float) -> None:
    part = clip(L_SHAPE, *window)
    assert (area(part) if part else 0) == pytest.approx(expected)


def test_what_lies_outside_has_no_corners() -> None:
    assert clip(L_SHAPE, 100, 100, 5, 5) == ()


def test_clipping_agrees_with_counted_points() -> None:
    rng = random.Random(0)
    for _ in range(20):
        turns = sorted(rng.uniform(0, 2 * math.pi) for _ in range(5))
        outline = tuple((50 + 45 * math.cos(turn), 50 + 45 * math.sin(turn)) for turn in turns)  # convex
        x, y, w, h = rng.uniform(0, 50), rng.uniform(0, 50), rng.uniform(20, 50), rng.uniform(20, 50)
        part = clip(outline, x, y, w, h)
        step = 0.5
        inside = sum(
            _holds(outline, x + step * (i + 0.5), y + step * (j + 0.5))
            for i in range(int(w / step))
            for j in range(int(h / step))
        )
        assert (area(part) if part else 0) == pytest.approx(inside * step * step, abs=60)
        for px, py in part:
            assert x <= px <= x + w and y <= py <= y + h


def _holds(outline: tuple[tuple[float, float], ...], x: float, y: float) -> bool:
    sides = [
        (bx - ax) * (y - ay) - (by - ay) * (x - ax)
        for (ax, ay), (bx, by) in zip(outline, (*outline[1:], outline[0]), strict=True)
    ]
    return min(sides) >= 0


def test_the_share_inside() -> None:
    box = Box.upright("car", -5, 0, 20, 10)
    assert inside_share(box, 0, 0, 100, 100) == pytest.approx(0.75)
    assert inside_share(box, -10, -10, 100, 100) == 1
    assert inside_share(box, 50, 50, 10, 10) == 0
    diamond = Box("car", ((0, -5), (5, 0), (0, 5), (-5, 0)), oriented=True)
    assert inside_share(diamond, 0, 0, 100, 100) == pytest.approx(0.25)
    assert inside_share(Box("tree", ((3, 3),)), 0, 0, 10, 10) == 1
    assert inside_share(Box("tree", ((13, 3),)), 0, 0, 10, 10) == 0
    assert inside_share(Box("tree", ()), 0, 0, 10, 10) == 0
    assert inside_share(Box.upright("tree", 1, math.nan, 3, 3), 0, 0, 10, 10) == 0


def test_distances_and_common_areas() -> None:
    a = (0.0, 0.0, 10.0, 10.0)
    assert gap(a, (13.0, 14.0, 5.0, 5.0)) == 5
    assert gap(a, (20.0, 2.0, 5.0, 5.0)) == 10
    assert gap(a, (5.0, 5.0, 10.0, 10.0)) == 0
    assert common_area(a, (5.0, 6.0, 10.0, 10.0)) == 20
    assert common_area(a, (10.0, 0.0, 5.0, 5.0)) == 0
    assert bounds(L_SHAPE) == (0, 0, 6, 6)
