"""Rule: three or more like objects on a line, evenly spaced, are lined up.

The word is an attribute, "lined-up", since a sentence says it of the objects together: "five lined-up planes
at the left". It is said of a whole group or not at all. Where all objects of a class that look alike form one
row across several places, they are one group without a place: "six lined-up courts".
"""

from collections.abc import Sequence
from itertools import pairwise

from pipeline.boxes.geometry import Bounds

WORD = "lined-up"
FEWEST = 3
OFF_LINE = 0.25  # of the objects' mean side: how far a centre may lie from the line
UNEVEN = 0.35  # of the mean distance: how much a distance between neighbours may differ from it
FURTHEST = 3.0  # mean sides between the centres of neighbours; what is further apart makes no row


def is_row(boxes: Sequence[Bounds]) -> bool:
    """Whether upright boxes (x, y, w, h) form a row in any direction."""
    if len(boxes) < FEWEST:
        return False
    centres = [(x + w / 2, y + h / 2) for x, y, w, h in boxes]
    side = sum(w + h for _, _, w, h in boxes) / (2 * len(boxes))
    ends = _ends(centres)
    (x0, y0), (x1, y1) = ends
    length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
    step = length / (len(centres) - 1)
    if length == 0 or not 0.5 * side < step <= FURTHEST * side:
        return False
    across, down = (x1 - x0) / length, (y1 - y0) / length
    if any(abs((x - x0) * down - (y - y0) * across) > OFF_LINE * side for x, y in centres):
        return False
    along = sorted((x - x0) * across + (y - y0) * down for x, y in centres)
    return all(abs(b - a - step) <= UNEVEN * step for a, b in pairwise(along))


def _ends(centres: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The first and the last centre along the axis on which they reach further."""
    xs, ys = [x for x, _ in centres], [y for _, y in centres]
    axis = 0 if max(xs) - min(xs) >= max(ys) - min(ys) else 1
    return min(centres, key=lambda c: c[axis]), max(centres, key=lambda c: c[axis])
