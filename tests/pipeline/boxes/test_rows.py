"""What makes a row."""

import math

import pytest

from pipeline.boxes.geometry import Bounds
from pipeline.boxes.rows import is_row


def _row(count: int, step: float = 15, turn: float = 0, shift: float = 0, late: float = 0) -> list[Bounds]:
    """Boxes of 10 x 10; the second one is `shift` off the line and `late` along it."""
    a, b = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    along = [step * i + late * (i == 1) for i in range(count)]
    off = [shift * (i == 1) for i in range(count)]
    return [(100 + u * a - v * b, 100 + u * b + v * a, 10.0, 10.0) for u, v in zip(along, off, strict=True)]


@pytest.mark.parametrize("turn", [0, 30, 45, 90, 135, 200])
def test_a_line_in_any_direction(turn: float) -> None:
    assert is_row(_row(3, turn=turn))
    assert is_row(_row(7, turn=turn)[::-1])


@pytest.mark.parametrize(
    "boxes",
    [
        [],
        _row(2),
        _row(5, shift=3),
        _row(5, late=6),
        _row(4, step=31),
        _row(4, step=4),
        [(10.0, 10.0, 5.0, 5.0)] * 3,
    ],
    ids=["none", "two", "off the line", "uneven", "far apart", "on one another", "one place"],
)
def test_no_row(boxes: list[Bounds]) -> None:
    assert not is_row(boxes)


def test_a_row_may_be_a_little_uneven() -> None:
    assert is_row(_row(5, shift=2, late=4))
