"""Rule: an object over the image's edge is clipped to it; one of which little is in the image is left out."""

from pipeline.boxes.box import Box
from pipeline.boxes.geometry import Point, area, clip, is_usable, is_within

LEAST_INSIDE = 0.25  # of its area; from a smaller part nobody tells what it is


def within_frame(box: Box, width: int, height: int) -> tuple[Point, ...] | None:
    """The part of a box's outline inside an image of `width` x `height` pixels; None if it is left out."""
    if not is_usable(box.outline):
        return None
    if is_within(box.bounds, 0, 0, width, height):
        return box.outline
    whole, part = area(box.outline), clip(box.outline, 0, 0, width, height)
    if not part or whole == 0 or area(part) < LEAST_INSIDE * whole:
        return None
    return part
